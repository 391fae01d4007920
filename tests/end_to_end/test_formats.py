"""What is given for a model and is none is named, with the way to come to a model."""

import json
import re
import zipfile

import keras
import numpy as np
import pytest
from modelfiles import write

import cnnexplain as cx
from cnnexplain.errors import ModelError
from cnnexplain.loading import model_names


def archive(path, *names):
    with zipfile.ZipFile(path, "w") as file:
        for name in names:
            file.writestr(name, "x")


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="Keras reads a SavedModel on TensorFlow alone.")
@pytest.mark.filterwarnings("ignore")
def test_the_suggested_code_for_a_saved_model_works(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    keras_model = model()
    keras_model.export("saved", verbose=False)
    with pytest.raises(ModelError) as caught:
        model_names.find("saved")
    lines = re.search(r": (import .*?)  #", str(caught.value))[1].replace("(224, 224, 3)", "(12, 10, 3)")
    scope = {}
    exec(lines, scope)
    images = np.random.default_rng(0).uniform(0, 1, (2, 12, 10, 3)).astype(np.float32)
    expected = keras.ops.convert_to_numpy(keras_model(images))
    np.testing.assert_allclose(scope["clf"].predict(images), expected, rtol=1e-5)


def test_the_command_line_names_the_format_before_keras_is_imported(shell, folder, tmp_path):
    (tmp_path / "net.onnx").write_bytes(b"\x08\x07")
    commands = [["run", "saliency", "--model", "net.onnx"]]
    done = shell(folder / "tests/programs/heavy_imports.py", json.dumps(commands))
    assert done.returncode == 0, done.stderr
    codes, heavy = json.loads(done.stdout)
    assert (codes, {"keras", "numpy"} & set(heavy)) == ([1], set())
    assert "is an ONNX model" in done.stderr


def damage(path, kind, model):
    if kind == "cut":
        model.save(path)
        path.write_bytes(path.read_bytes()[:3000])
    elif kind == "no weights":
        archive(path, "metadata.json", "config.json")
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "weights of another":
        model.save(path)
        with zipfile.ZipFile(path) as file:
            parts = {name: file.read(name) for name in file.namelist()}
        config = json.loads(parts["config.json"])
        config["config"]["layers"][1]["config"]["filters"] = 7
        parts["config.json"] = json.dumps(config).encode()
        with zipfile.ZipFile(path, "w") as file:
            for name, data in parts.items():
                file.writestr(name, data)
    else:
        write(path, None, text="{")


@pytest.mark.parametrize("kind", ["cut", "no weights", "empty", "weights of another", "no JSON"])
def test_damaged_files_are_reported(kind, model, tmp_path):
    damage(tmp_path / "net.keras", kind, model())
    with pytest.raises(ModelError, match=r"is damaged|is truncated|can.t be read") as caught:
        cx.load(tmp_path / "net.keras")
    assert len(str(caught.value)) < 500


def test_an_unknown_config_key_names_its_layer(model, tmp_path):
    model().save(tmp_path / "net.keras")
    with zipfile.ZipFile(tmp_path / "net.keras") as file:
        parts = {name: file.read(name) for name in file.namelist()}
    config = json.loads(parts["config.json"])
    config["config"]["layers"][1]["config"]["novel"] = True
    parts["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(tmp_path / "net.keras", "w") as file:
        for name, data in parts.items():
            file.writestr(name, data)
    with pytest.raises(ModelError, match=r"can't be read by Keras 3.*in layer 'conv'.*novel") as caught:
        cx.load(tmp_path / "net.keras")
    assert "damaged" not in str(caught.value)
