"""What is given for a model and is none is named, with the way to come to a model."""

import pickle
import zipfile

import pytest

from cnnexplain import files
from cnnexplain.errors import ModelError, UsageError
from cnnexplain.loading import model_names

TFLITE, PICKLE = b"\x1c\0\0\0TFL3" + bytes(40), pickle.dumps({"a": 1})


def archive(path, *names):
    with zipfile.ZipFile(path, "w") as file:
        for name in names:
            file.writestr(name, "x")


FILES = {
    "net.tflite": (TFLITE, "is a TensorFlow Lite model, .* It has no gradients"),
    "net": (TFLITE, "is a TensorFlow Lite model"),
    "net.keras": (TFLITE, "is a TensorFlow Lite model"),
    "frozen.pb": (b"\n\x03abc", "is a TensorFlow graph"),
    "net.onnx": (b"\x08\x07abc", "is an ONNX model"),
    "net.pth": (PICKLE, "is a PyTorch file"),
    "net.pt": (b"", "is a PyTorch file"),
    "cut.pth": (b"PK\3\4" + bytes(80), "is a PyTorch file"),
    "net.safetensors": (b"\x10\0\0\0\0\0\0\0{}", r"is a file of weights \(safetensors\)"),
    "net.mlmodel": (b"\x08\x01", "is a Core ML model"),
    "net.pkl": (PICKLE, "is a Python pickle, not a Keras model file. It could execute any code"),
    "net.joblib": (PICKLE, "is a Python pickle"),
    "pickled.h5": (PICKLE, "is a Python pickle"),
    "net.ckpt": (b"x", "is a TensorFlow checkpoint, weights without a model"),
    "net.index": (b"x", "is part of a TensorFlow checkpoint"),
    "net.png": (b"\x89PNG\r\n\x1a\n", "is an image"),
    "image.h5": (b"\xff\xd8\xff\xe0", "is an image"),
    "weights.npz": (b"", "is a file of arrays"),
}


@pytest.mark.parametrize("name", FILES)
def test_other_file_formats_are_named(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data, words = FILES[name]
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ModelError, match=words) as caught:
        model_names.find(name)
    assert str(caught.value).startswith(f"'{name}' is ")


@pytest.mark.parametrize(
    ("name", "inside", "words"),
    [
        (
            "net.zip",
            ("keras_model.h5", "labels.txt"),
            "is a zip archive that contains a model, .*Unpack it and give 'keras_model.h5'",
        ),
        ("net.pth", ("archive/data.pkl", "archive/data/0"), "is a PyTorch file"),
        ("other.pth", ("code/x.py",), "is a PyTorch file"),
        ("arrays.npz", ("arr_0.npy",), "is a file of arrays"),
        (
            "net.zip",
            ("config.json", "metadata.json", "model.weights.h5"),
            "is a .keras file with another suffix, .*Rename it to .keras",
        ),
        ("net.h5", ("config.json", "metadata.json", "model.weights.h5"), "is a .keras file with another suffix"),
    ],
)
def test_archives_are_named_by_their_content(name, inside, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    archive(name, *inside)
    with pytest.raises(ModelError, match=words):
        model_names.find(name)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (["saved_model.pb"], "'saved' is a TensorFlow SavedModel, .*TFSMLayer"),
        (["config.json", "metadata.json", "model.weights.h5"], "'saved' is an unpacked .keras file, .*load_model"),
        (["checkpoint", "x.index"], "'saved' is a folder of TensorFlow checkpoints"),
        ({"model.json": '{"format": "layers-model"}', "a.bin": "x"}, "'saved' is a TensorFlow.js model"),
        ({"model.json": '{"modelTopology": {}, "format": "graph-model"}'}, "'saved' is a TensorFlow.js model"),
        ({"model.json": '{"class_name": "Functional", "config": {}}', "model.h5": "x"}, r"Did you mean 'saved/model.h5'\?"),
        ({"model.json": '{"format": "other"}'}, "There is no model file 'saved'. It is a folder. Give a file"),
        ({"model.json": '["format"]'}, "It is a folder. Give a file"),
        ({"model.json": "[" * 200_000}, "It is a folder. Give a file"),
        (["model.json"], "It is a folder. Give a file"),
        (
            ["labels.txt", "keras_model.h5"],
            r"There is no model file 'saved'. It is a folder. Did you mean 'saved/keras_model.h5'\?",
        ),
        ([], r"There is no model file 'saved'. It is a folder. Give a file that ends in .keras or .h5"),
    ],
)
def test_folders_are_named_by_their_content(files, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "saved").mkdir()
    for name in files:
        (tmp_path / "saved" / name).write_text(files[name] if isinstance(files, dict) else "x")
    with pytest.raises((ModelError, UsageError), match=words):
        model_names.find("saved")


def test_a_name_does_not_suggest_itself(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "labels").mkdir()
    with pytest.raises(UsageError, match="'labels' is a folder; expected a labels file") as caught:
        files.existing("labels", "labels file")
    assert "Did you mean" not in str(caught.value)
