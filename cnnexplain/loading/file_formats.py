"""Files and folders that are given for a model and are something else: what they are, and how to come to a model."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

from cnnexplain.errors import ModelError, UsageError
from cnnexplain.interruption import check_interrupted
from cnnexplain.model.model_files import LEGACY, SUFFIXES

HDF5 = b"\x89HDF\r\n\x1a\n"
"""What an HDF5 file begins with."""

SAVED_MODEL = (
    "Keras reads it in Python, as one layer: import keras, cnnexplain as cx; x = keras.Input((224, 224, 3)); "
    "y = keras.tree.flatten(keras.layers.TFSMLayer({0!r}, call_endpoint='serving_default')(x))[0]; "
    "clf = cx.load(keras.Model(x, y), probabilities=True)  # the size is that of its images"
)
TORCH = "Build the network in Keras and copy its weights, or export it from PyTorch to ONNX and from there to Keras."
PICKLE = ("a Python pickle", "It could run anything, and is not read: save the model with model.save('model.keras').")
WEIGHTS = "Build the model in Python, give it them (model.load_weights), and save it with model.save('model.keras')."

ENDINGS: dict[str, tuple[str, str]] = {
    ".tflite": ("a TensorFlow Lite model", "It has no gradients: give the Keras model that it was made of."),
    ".pb": ("a TensorFlow graph", "Give the folder of a SavedModel; a frozen graph alone Keras can't read."),
    ".onnx": ("an ONNX model", "Convert it to Keras first, as with the package onnx2keras."),
    ".pt": ("a PyTorch file", TORCH),
    ".pth": ("a PyTorch file", TORCH),
    ".safetensors": ("a file of weights (safetensors)", TORCH),
    ".mlmodel": ("a Core ML model", "Give the Keras model that it was made of."),
    ".mlpackage": ("a Core ML model", "Give the Keras model that it was made of."),
    ".pkl": PICKLE,
    ".pickle": PICKLE,
    ".joblib": PICKLE,
    ".ckpt": ("a TensorFlow checkpoint, weights without a model", WEIGHTS),
    ".index": ("part of a TensorFlow checkpoint, weights without a model", WEIGHTS),
    ".npz": ("a file of arrays", WEIGHTS),
    ".npy": ("an array", WEIGHTS),
}
"""What files are by the ends of their names, and what to do about it."""

DESCRIBED = 64 << 20
"""So many bytes of a JSON file are read to see what it describes."""

IMAGES = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\0", b"MM\0*")
"""What image files begin with."""


def check(path: Path) -> None:
    """Sees that a file or folder is a Keras model as far as its name and its first bytes tell.

    Raises:
        ModelError: It is something else.
        UsageError: It is a folder of which nothing is known.
    """
    what = _folder(path) if path.is_dir() else _file(path)
    if what is not None:
        raise ModelError(f"'{path}' is {what[0]}, and no Keras model file. {what[1]}")


def _folder(path: Path) -> tuple[str, str]:
    try:
        names = {each.name for each in path.iterdir()}
    except OSError as error:
        return f"a folder that can't be read ({error.strerror})", ""
    if "saved_model.pb" in names:
        return "a TensorFlow SavedModel", SAVED_MODEL.format(str(path))
    if {"config.json", "model.weights.h5"} <= names:
        return "an unpacked .keras file", f"Pack it: keras.saving.load_model({str(path)!r}).save('model.keras')"
    if "checkpoint" in names or any(name.endswith(".index") for name in names):
        return "a folder of TensorFlow checkpoints, weights without a model", WEIGHTS
    if "model.json" in names and _is_tfjs(path / "model.json"):
        return (
            "a TensorFlow.js model",
            "Convert it with tensorflowjs_converter, or give the Keras model that it was made of.",
        )
    models = sorted(name for name in names if name.endswith(SUFFIXES))
    inside = f"Did you mean '{path / models[0]}'?" if models else "Give a file that ends in .keras or .h5."
    raise UsageError(f"There is no model file '{path}'. It is a folder. {inside}")


def _is_tfjs(path: Path) -> bool:
    """Whether a JSON file describes a model of TensorFlow.js, and not one of Keras or anything else."""
    try:
        with path.open("rb") as file:
            told = json.loads(file.read(DESCRIBED))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(told, dict) and told.get("format") in ("layers-model", "graph-model")


def _file(path: Path) -> tuple[str, str] | None:
    try:
        with path.open("rb") as file:
            start = file.read(64)
    # That it can't be read is said where it is read.
    except OSError:
        return None
    ending = path.suffix.lower()
    if start[4:8] == b"TFL3":
        ending = ".tflite"
    if start.startswith(IMAGES) or (start[:4] == b"RIFF" and start[8:12] == b"WEBP"):
        return "an image", "Images stand after the analysis: cnnexplain run saliency IMAGE --model MODEL."
    if start[:2] == b"\x80\x02" or start[:2] in (b"\x80\x03", b"\x80\x04", b"\x80\x05"):
        ending = ending if ending in ENDINGS else ".pkl"
    if start.startswith(b"PK\x03\x04"):
        return _zip(path, ending) or ENDINGS.get(ending)
    if start.startswith(HDF5):
        return None if ending in LEGACY else ("an HDF5 file", "It looks like an older HDF5 file: name it .h5.")
    if path.name == "saved_model.pb":
        return "part of a TensorFlow SavedModel", SAVED_MODEL.format(str(path.parent))
    return ENDINGS.get(ending)


def _zip(path: Path, ending: str) -> tuple[str, str] | None:
    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist()[:1000])
    # What is damaged is said where the file is read.
    except Exception as error:  # noqa: BLE001
        check_interrupted(error)
        return None
    if any(name.endswith("data.pkl") for name in names):
        return ENDINGS[".pt"]
    inside = next((name for name in sorted(names) if name.endswith(SUFFIXES) and name != "model.weights.h5"), None)
    if inside is not None:
        return "a zip archive with a model in it", f"Unpack it and give '{inside:.80}'."
    if "config.json" in names and ending != ".keras":
        return "a .keras file by another name", "Name it .keras."
    return None
