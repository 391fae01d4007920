"""A network of keras.applications with its weights, the preprocessing that it was trained with, and ImageNet's labels."""

from __future__ import annotations

import hashlib
import warnings
from pathlib import Path
from typing import Any

import keras

from cnnexplain import Preprocess, check_hdf5, imagenet_labels, linear_preprocessing
from cnnexplain.errors import ModelError, check_interrupted
from cnnexplain.plugin import Pretrained

CROP = 0.875
"""The share of a photograph's side that is usually kept when networks are measured on ImageNet: 224 of 256."""


def load(module: str, name: str, weights: Path | None) -> Pretrained:
    """Builds a network at its usual size.

    Args:
        module: Of keras.applications, with the network's `preprocess_input`.
        name: Of the network.
        weights: A file for `keras.Model.load_weights`; None for those that Keras downloads.

    Raises:
        ModelError: This Keras has no such network, the file doesn't fit it, or the download fails.
    """
    home, build = getattr(keras.applications, module, None), getattr(keras.applications, name, None)
    if home is None or build is None:
        raise ModelError(f"Keras {keras.__version__} has no {name} in keras.applications; a newer one may have it.")
    model = _downloaded(build, name) if weights is None else _from_file(build, name, weights)
    height, width, channels = model.input_shape[1:]
    said = linear_preprocessing(
        home.preprocess_input, f"keras.applications.{module}.preprocess_input", (height, width, channels)
    )
    preprocess = Preprocess(height, width, **said, fit="crop", crop=CROP, interpolation="bicubic")
    sha256 = None if weights is None else hashlib.sha256(weights.read_bytes()).hexdigest()
    return Pretrained(model, preprocess, imagenet_labels(), sha256)


def _downloaded(build: Any, name: str) -> Any:
    try:
        return build(weights="imagenet")
    # What a download raises depends on how it fails.
    except Exception as error:
        check_interrupted(error)
        raise ModelError(
            f"The weights of {name} could not be downloaded ({' '.join(str(error).split())[:160]}). "
            "Give a file that has them with --weights FILE (weights=…)."
        ) from error


def _from_file(build: Any, name: str, weights: Path) -> Any:
    if weights.suffix.lower() in (".h5", ".hdf5"):
        check_hdf5(weights)
    model = build(weights=None)
    try:
        # Keras warns of each layer, a hundred times, before it says once that they don't fit.
        with warnings.catch_warnings(action="ignore"):
            model.load_weights(weights)
    # Keras raises whatever a damaged or other file makes its many parts raise.
    except Exception as error:
        check_interrupted(error)
        reason = " ".join(str(error).split()).partition(". ")[0]
        raise ModelError(f"'{weights}' does not hold the weights of {name}: {reason[:160]}.") from error
    return model
