"""The names of classes from lists and class indices, in JSON and in Python."""

import json

import numpy as np
import pytest

import cnnexplain as cx
from cnnexplain.errors import UsageError

CLASSES = {name: index for index, name in enumerate("edcba")}


def test_class_index_in_python_and_in_files(model, tmp_path):
    (tmp_path / "class_indices.json").write_text(json.dumps(CLASSES))
    wanted = ("e", "d", "c", "b", "a")
    path = tmp_path / "class_indices.json"
    for said in (CLASSES, {index: name for name, index in CLASSES.items()}, list(wanted), path, str(path)):
        assert cx.load(model(), labels=said).labels == wanted
    assert cx.load(model(), preprocess={"labels": CLASSES}).labels == wanted
    with pytest.raises(UsageError, match="There are 2 labels for the 5 classes"):
        cx.load(model(), labels={"a": 0, "b": 1})


def test_class_index_on_the_command_line_and_in_a_sidecar(cli, model, tmp_path):
    model().save(tmp_path / "net.keras")
    (tmp_path / "class_indices.json").write_text(json.dumps(CLASSES))
    code, out, _ = cli("list", "--classes", "--model", "net.keras", "--labels", "class_indices.json")
    assert (code, out.split()) == (0, ["0", "e", "1", "d", "2", "c", "3", "b", "4", "a"])
    for said in ("class_indices.json", CLASSES):
        (tmp_path / "net.json").write_text(json.dumps({"labels": said}))
        assert cli("list", "--classes", "--model", "net.keras")[1] == out
    # Beside the model by its own name it is not used unasked, and said to be there; even where a class is called like a key.
    for index in (CLASSES, {"cat": 0, "label": 1, "sizes": 2, "dog": 3, "owl": 4}):
        (tmp_path / "net.json").write_text(json.dumps(index))
        record = cx.explain("saliency", cx.load("net.keras"), np.zeros((12, 10, 3), np.float32))
        assert record.labels == ("0", "1", "2", "3", "4")
        (warning,) = record.warnings
        assert warning.endswith("If it contains the names of the outputs, use --labels net.json (labels=).")
    code, _, err = cli("run", "saliency", "--model", "net.keras", "--labels", "gone.json")
    assert (code, err.count("\n")) == (2, 1)
    (tmp_path / "class_indices.json").write_text('{"a": 0, "b": 3}')
    code, _, err = cli("list", "--classes", "--model", "net.keras", "--labels", "class_indices.json")
    assert code == 1
    assert err.startswith(
        "Error: 'class_indices.json' does not name the classes: 2 classes need the numbers 0 to 1, but 1 is missing."
    )
