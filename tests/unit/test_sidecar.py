"""What is said of a model's input: every key, what is refused, and files that come from anywhere."""

import json

import pytest

from cnnexplain.errors import ModelError, UsageError
from cnnexplain.loading import sidecar

WHOLE = {
    "size": [224, 160],
    "color": "bgr",
    "scale": 1,
    "mean": [103.9, 116.8, 123.7],
    "std": 2,
    "fit": "crop",
    "crop": 0.875,
    "interpolation": "bicubic",
    "antialias": False,
    "white_level": 4095,
    "show_bands": [3, 2, 1],
    "fixed": {"meta": [0.5, 3], "site": 2},
    "labels": ["cat", "dog"],
    "head": "values",
    "unit": "years",
    "training_figures": {"epochs": 30, "by": "Ada"},
}


def test_every_key_is_read():
    assert sidecar.check(WHOLE) == {
        **WHOLE,
        "size": (224, 160),
        "mean": (103.9, 116.8, 123.7),
        "std": (2.0,),
        "labels": ("cat", "dog"),
        "show_bands": (3, 2, 1),
    }
    assert set(WHOLE) == set(sidecar.KEYS)


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("size", 28, (28, 28)),
        ("size", "28", (28, 28)),
        ("size", "224x160", (224, 160)),
        ("scale", "1/255", 1 / 255),
        ("scale", "0.5", 0.5),
        ("mean", "1,2.5,-3", (1, 2.5, -3)),
        ("mean", 0, (0,)),
        ("std", "1/2", (0.5,)),
        ("mean", "[0.5, 0.4, 0.3]", (0.5, 0.4, 0.3)),
        ("labels", "names.txt", "names.txt"),
    ],
)
def test_command_line_values_mean_the_same(key, value, expected):
    assert sidecar.check({key: value}) == {key: expected}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("size", value) for value in (0, -1, 2.5, True, "x", "0x5", [1, 2, 3], [], None, 10**9, [28, "28"], "9" * 5000)),
        *(("color", value) for value in ("RGB", 1, None, ["rgb"], {})),
        *(("scale", value) for value in (0, -1, "1/0", "0/1", "", "1/2/3", None, True, float("nan"), float("inf"), 10**400)),
        *(("mean", value) for value in ([], "1,,2", [1, "x", 2], {"a": 1}, [True, 0, 1], [[1], 2, 3], float("nan"))),
        *(("antialias", value) for value in ("no", 0, None, [True])),
        *(("show_bands", value) for value in ([1, 2], [], "1,2", -1, [1.0, 2, 3], [True, 0, 1], "x", None)),
        *(
            ("fixed", value)
            for value in ([1], {"": 1}, {1: 1}, {"a": None}, {"a": {}}, {"a": [1, [None]]}, {"a": float("inf")})
        ),
        *(("std", value) for value in (0, [1, 0, 1], -1, "0", [1e400, 1, 1])),
        *(
            ("training_figures", value)
            for value in ("0.9", ["0.9"], {"": 1}, {1: 1}, {"a": []}, {"a": None}, {"a": float("nan")})
        ),
        *(("fit", value) for value in ("squash", None)),
        *(("crop", value) for value in (0, 1.01, -0.5, "x", True)),
        ("interpolation", "lanczos"),
        *(("labels", value) for value in ([], "", [1, 2], ["a", ""], ["a", " "], None)),
    ],
)
def test_invalid_values_state_what_is_expected(key, value):
    with pytest.raises(UsageError, match=f"^'{key}' takes ") as caught:
        sidecar.check({key: value})
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"colur": "rgb"}, "There is no key 'colur'. Did you mean 'color'?"),
        ({"fit": "crops"}, "'fit' takes one of stretch, crop, pad, digit, but got 'crops'. Did you mean 'crop'?"),
        ({"interpolation": "bicubik"}, "Did you mean 'bicubic'?"),
        (["size"], "Expected a mapping with keys such as 'size' for a model's input, but got a list"),
        ({3: 4}, "There is no key 3."),
    ],
)
def test_typos_get_a_suggestion(said, words):
    with pytest.raises(UsageError) as caught:
        sidecar.check(said)
    assert words in str(caught.value)


def test_sidecars_are_found_beside_the_model(tmp_path):
    (tmp_path / "net.json").write_text(json.dumps({"scale": "1/255", "labels": "names.txt"}))
    (tmp_path / "names.txt").write_bytes("\ufeffcat\r\n Löwe \r\n\r\n".encode())
    for name in ("net.keras", "net.h5"):
        assert sidecar.next_to(tmp_path / name) == {"scale": 1 / 255, "labels": ("cat", "Löwe")}
    assert sidecar.next_to(tmp_path / "other.keras") == {}


def test_written_sidecars_are_read_back(tmp_path):
    sidecar.write(tmp_path / "net.json", WHOLE)
    assert sidecar.next_to(tmp_path / "net.keras") == sidecar.check(WHOLE)
    with pytest.raises(UsageError):
        sidecar.write(tmp_path / "odd.json", {"size": 0})
    assert [path.name for path in tmp_path.iterdir()] == ["net.json"]


def test_other_json_files_are_not_sidecars(tmp_path):
    path = tmp_path / "net.json"
    path.write_text(json.dumps({"name": "net", "input_size": 224, "preprocessing": "central crop", "classes": ["a"]}))
    assert sidecar.next_to(tmp_path / "net.keras") == {}
    assert sidecar.unused(tmp_path / "net.keras") == path
    assert sidecar.unused(tmp_path / "other.keras") is None
    with pytest.raises(ModelError, match=r"In '.*net.json': There is no key 'name'"):
        sidecar.read(path)
    for mistyped in ({"lables": ["a"]}, {"Size": 3}, {"name": "net", "scale": 1}):
        path.write_text(json.dumps(mistyped))
        assert sidecar.unused(tmp_path / "net.keras") is None
        with pytest.raises(ModelError, match="There is no key"):
            sidecar.next_to(tmp_path / "net.keras")


HOSTILE = {
    "no JSON": (b"{", "is not valid JSON"),
    "deep": (b"[" * 100_000, "is not valid JSON"),
    "a long number": (b'{"size": ' + b"9" * 5000 + b"}", "is not valid JSON|takes whole numbers"),
    "no text": (b"\xff\xfe\x00", "not text in UTF-8"),
    "a list": (b"[]", "but got a list"),
    "not a number": (b'{"scale": NaN}', "'scale' takes a number above 0"),
    "large": (b'{"labels": ["' + b"a" * (4 << 20) + b'"]}', "more than 4 MiB"),
    "labels above": (b'{"labels": "../names.txt"}', r"names the file '../names.txt'; expected one in the same folder"),
    "labels elsewhere": (b'{"labels": "/etc/hostname"}', "expected one in the same folder"),
    "labels in a folder": (b'{"labels": "sub/names.txt"}', "expected one in the same folder"),
    "labels in the parent": (b'{"labels": ".."}', "expected one in the same folder"),
    "labels not there": (b'{"labels": "names.txt"}', "There is no labels file"),
    "labels with a zero byte": (b'{"labels": "a\\u0000b"}', "labels file"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_invalid_sidecars_give_one_line(tmp_path, kind):
    data, words = HOSTILE[kind]
    (tmp_path / "net.json").write_bytes(data)
    with pytest.raises((ModelError, UsageError), match=words) as caught:
        sidecar.next_to(tmp_path / "net.keras")
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("text", "words"), [("", "is empty"), ("\n\n", "is empty"), ("a\n\nb\n", "line 2 of '.*' is empty")]
)
def test_labels_with_empty_lines_are_refused(tmp_path, text, words):
    (tmp_path / "names.txt").write_text(text)
    with pytest.raises(ModelError, match=words):
        sidecar.read_labels(tmp_path / "names.txt")
