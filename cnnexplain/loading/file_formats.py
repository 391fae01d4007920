"""Recognizes files and folders that are not Keras models, and explains how to get a model from them."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

from cnnexplain.errors import ModelError, UsageError
from cnnexplain.interruption import check_interrupted
from cnnexplain.model.model_files import LEGACY, SUFFIXES

HDF5 = b"\x89HDF\r\n\x1a\n"
"""The first bytes of an HDF5 file."""

SAVED_MODEL = (
    "Keras reads it in Python, as one layer: import keras, cnnexplain as cx; x = keras.Input((224, 224, 3)); "
    "y = keras.tree.flatten(keras.layers.TFSMLayer({0!r}, call_endpoint='serving_default')(x))[0]; "
    "clf = cx.load(keras.Model(x, y), probabilities=True)  # with the size of its images"
)
TORCH = "Build the network in Keras and copy its weights, or export it from PyTorch to ONNX and from there to Keras."
PICKLE = ("a Python pickle", "It could execute any code and is not read: save the model with model.save('model.keras').")
WEIGHTS = "Build the model in Python, load the weights (model.load_weights), and save it with model.save('model.keras')."

ENDINGS: dict[str, tuple[str, str]] = {
    ".tflite": ("a TensorFlow Lite model", "It has no gradients: give the Keras model from which it was converted."),
    ".pb": ("a TensorFlow graph", "Give the folder of a SavedModel; Keras can't read a frozen graph without it."),
    ".onnx": ("an ONNX model", "Convert it to Keras first, for example with the package onnx2keras."),
    ".pt": ("a PyTorch file", TORCH),
    ".pth": ("a PyTorch file", TORCH),
    ".safetensors": ("a file of weights (safetensors)", TORCH),
    ".mlmodel": ("a Core ML model", "Give the Keras model from which it was converted."),
    ".mlpackage": ("a Core ML model", "Give the Keras model from which it was converted."),
    ".pkl": PICKLE,
    ".pickle": PICKLE,
    ".joblib": PICKLE,
    ".ckpt": ("a TensorFlow checkpoint, weights without a model", WEIGHTS),
    ".index": ("part of a TensorFlow checkpoint, weights without a model", WEIGHTS),
    ".npz": ("a file of arrays", WEIGHTS),
    ".npy": ("an array", WEIGHTS),
}
"""The kinds of other files by their suffixes, with advice."""

MAX_JSON = 64 << 20
"""The maximum number of bytes of a JSON file that is recognized."""

IMAGES = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\0", b"MM\0*")
"""The first bytes of image files."""


def check(path: Path) -> None:
    """Checks, by name and first bytes, that a file or folder is not something other than a Keras model.

    Raises:
        ModelError: It is something else.
        UsageError: It is an unknown kind of folder.
    """
    kind = _folder(path) if path.is_dir() else _file(path)
    if kind is not None:
        raise ModelError(f"'{path}' is {kind[0]}, not a Keras model file. {kind[1]}")


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
            "Convert it with tensorflowjs_converter, or give the Keras model from which it was converted.",
        )
    models = sorted(name for name in names if name.endswith(SUFFIXES))
    hint = f"Did you mean '{path / models[0]}'?" if models else "Give a file that ends in .keras or .h5."
    raise UsageError(f"There is no model file '{path}'. It is a folder. {hint}")


def _is_tfjs(path: Path) -> bool:
    """Whether a JSON file describes a TensorFlow.js model."""
    try:
        with path.open("rb") as file:
            content = json.loads(file.read(MAX_JSON))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(content, dict) and content.get("format") in ("layers-model", "graph-model")


def _file(path: Path) -> tuple[str, str] | None:
    try:
        with path.open("rb") as file:
            start = file.read(64)
    # The loader reports that the file can't be read.
    except OSError:
        return None
    ending = path.suffix.lower()
    if start[4:8] == b"TFL3":
        ending = ".tflite"
    if start.startswith(IMAGES) or (start[:4] == b"RIFF" and start[8:12] == b"WEBP"):
        return "an image", "Give images after the name of the analysis: cnnexplain run saliency IMAGE --model MODEL."
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
    # The loader reports that the file is damaged.
    except Exception as error:  # noqa: BLE001
        check_interrupted(error)
        return None
    if any(name.endswith("data.pkl") for name in names):
        return ENDINGS[".pt"]
    inside = next((name for name in sorted(names) if name.endswith(SUFFIXES) and name != "model.weights.h5"), None)
    if inside is not None:
        return "a zip archive that contains a model", f"Unpack it and give '{inside:.80}'."
    if "config.json" in names and ending != ".keras":
        return "a .keras file with another suffix", "Rename it to .keras."
    return None
