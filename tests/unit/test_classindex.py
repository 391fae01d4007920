"""The names of classes from lists and class indices, in JSON and in Python."""

import json

import numpy as np
import pytest

from cnnexplain.errors import ModelError, UsageError
from cnnexplain.loading import sidecar
from cnnexplain.loading.class_index import names


@pytest.mark.parametrize(
    "said",
    [
        ["cat", "dog", "owl"],
        ("cat", "dog", "owl"),
        {"dog": 1, "cat": 0, "owl": 2},
        {"dog": "1", "cat": "0", "owl": "2"},
        {"dog": np.int64(1), "cat": np.int32(0), "owl": 2},
        {"2": "owl", "0": "cat", "1": "dog"},
        {2: "owl", 0: "cat", 1: "dog"},
        {"0": ["n02121808", "cat"], "1": ["n02084071", "dog"], "2": ["n01621127", "owl"]},
        [["n02121808", "cat"], ["n02084071", "dog"], ["n01621127", "owl"]],
    ],
    ids=str,
)
def test_every_format_gives_the_names_in_order(said):
    assert names(said) == ("cat", "dog", "owl")


def test_numeric_names():
    assert names({"7": 0, "3": 1}) == ("7", "3")
    assert names({"0": "7", "1": "3"}) == ("7", "3")
    assert names(["7", "3"]) == ("7", "3")


def test_duplicate_names_are_kept():
    assert names({"0": "crane", "1": "crane"}) == ("crane", "crane")


WRONG = {
    "a number is missing": ({"cat": 0, "dog": 2}, "2 classes need the numbers 0 to 1, but 1 is missing"),
    "from 1": ({"1": "cat", "2": "dog"}, "but 0 is missing"),
    "twice": ({"cat": 0, "dog": 0}, "the number 0 is that of 'cat' and of 'dog'"),
    "no numbers": ({"cat": "x", "dog": "y"}, "'x' has no number|'y' has no number|has no number"),
    "a fraction": ({"cat": 0.0, "dog": 1.0}, "has no number"),
    "a truth": ({"cat": False, "dog": True}, "has no number"),
    "negative": ({"cat": -1, "dog": 0}, "missing"),
    "empty": ({}, "it is empty"),
    "an empty name": ({"": 0}, "a name is empty"),
    "no names": ({"0": {"a": 1}}, "is not a name"),
    "huge": ({"cat": 10**30}, "but 0 is missing"),
}


@pytest.mark.parametrize("case", WRONG)
def test_invalid_class_indices_are_refused_with_the_reason(tmp_path, case):
    said, words = WRONG[case]
    with pytest.raises((ValueError, TypeError), match=words):
        names(said)
    (tmp_path / "labels.json").write_text(json.dumps(said))
    with pytest.raises(ModelError, match=r"labels.json' does not name the classes: .*Expected a list of names") as error:
        sidecar.read_labels(tmp_path / "labels.json")
    assert len(str(error.value)) < 400
    with pytest.raises(UsageError, match="The labels are not a class index"):
        sidecar.check({"labels": said})


@pytest.mark.parametrize("text", ["", "{", "3", '"cat"', "null", "[]", "[3]", "[[]]", "[" * 100_000])
def test_other_json_is_refused(tmp_path, text):
    (tmp_path / "labels.JSON").write_text(text)
    with pytest.raises(ModelError, match=r"does not name the classes|is not valid JSON"):
        sidecar.read_labels(tmp_path / "labels.JSON")
