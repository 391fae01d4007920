"""A network of keras.applications with its weights, the preprocessing of its training, and the labels of ImageNet."""

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
"""The share of a photograph's side that is usually kept when networks are evaluated on ImageNet: 224 of 256 pixels."""


def load(module: str, name: str, weights: Path | None) -> Pretrained:
    """Builds a network at its usual size.

    Args:
        module: The module of keras.applications with the network's `preprocess_input`.
        name: The name of the network.
        weights: A file for `keras.Model.load_weights`; None to let Keras download the weights.

    Raises:
        ModelError: This version of Keras has no such network, the file does not fit it, or the download fails.
    """
    package, build = getattr(keras.applications, module, None), getattr(keras.applications, name, None)
    if package is None or build is None:
        raise ModelError(f"Keras {keras.__version__} has no {name} in keras.applications; a newer version may have it.")
    model = _downloaded(build, name) if weights is None else _from_file(build, name, weights)
    height, width, channels = model.input_shape[1:]
    settings = linear_preprocessing(
        package.preprocess_input, f"keras.applications.{module}.preprocess_input", (height, width, channels)
    )
    preprocess = Preprocess(height, width, **settings, fit="crop", crop=CROP, interpolation="bicubic")
    sha256 = None if weights is None else hashlib.sha256(weights.read_bytes()).hexdigest()
    return Pretrained(model, preprocess, imagenet_labels(), sha256)


def _downloaded(build: Any, name: str) -> Any:
    try:
        return build(weights="imagenet")
    # The kind of exception depends on how the download fails.
    except Exception as error:
        check_interrupted(error)
        raise ModelError(
            f"The weights of {name} could not be downloaded ({' '.join(str(error).split())[:160]}). "
            "Pass a file that contains them with --weights FILE (weights=…)."
        ) from error


def _from_file(build: Any, name: str, weights: Path) -> Any:
    if weights.suffix.lower() in (".h5", ".hdf5"):
        check_hdf5(weights)
    model = build(weights=None)
    try:
        # Before the exception, Keras warns about each of the many layers that do not fit.
        with warnings.catch_warnings(action="ignore"):
            model.load_weights(weights)
    # Keras may raise any exception for a damaged or unsuitable file.
    except Exception as error:
        check_interrupted(error)
        reason = " ".join(str(error).split()).partition(". ")[0]
        raise ModelError(f"'{weights}' does not contain the weights of {name}: {reason[:160]}.") from error
    return model
