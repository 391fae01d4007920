"""A model file, a Keras model or the name of a model → a classifier."""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import keras

from cnnexplain import models
from cnnexplain.classifier import Classifier
from cnnexplain.errors import ModelError, UsageError
from cnnexplain.preprocess import Preprocess

CONFIG = 64 << 20
"""A model file whose description unpacks to more bytes is refused."""

CODE = ("Lambda", "__lambda__", "TorchModuleWrapper")
"""Classes that keep Python code in a model file."""


def load(
    model: Any = None,
    *,
    preprocess: Preprocess | None = None,
    labels: Sequence[str] | None = None,
    output: str | None = None,
    logits: bool = False,
) -> Classifier:
    """A classifier to explain.

    Args:
        model: None or "lenet" for the LeNet that comes with the package, the path of a `.keras` file, or a Keras model.
        preprocess: What its input is; None for what the model tells.
        labels: The names of its classes.
        output: The name of the output to explain, where there are several.
        logits: Whether that output is the scores, whatever layer it comes from.

    Raises:
        UsageError: There is no such file.
        ModelError: The file is damaged, is no Keras model, or carries code; or the model is no image classifier.
    """
    if model is None or model == models.INCLUDED:
        from cnnexplain import lenet

        path = models.find(models.INCLUDED)
        return Classifier(lenet.restore(path), "lenet", hashlib.sha256(path.read_bytes()).hexdigest())
    if isinstance(model, str | os.PathLike):
        return _from_file(models.find(model), os.fspath(model))
    if isinstance(model, keras.Model):
        return Classifier(model, model.name, preprocess=preprocess, labels=labels, output=output, logits=logits)
    raise UsageError(f"Can't load a {type(model).__name__}; expected a path, a Keras model, or nothing for the LeNet.")


def _from_file(path: Path, name: str) -> Classifier:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"Can't read '{path}': {error.strerror}.") from error
    config = _config(path, data)
    kept = next((found for found in CODE if found in _classes(config)), None)
    if kept is not None:
        raise ModelError(
            f"'{path}' carries Python code ({kept}), which is refused: it would run on your machine. "
            "If you trust it, load it yourself with Keras and pass the model to cnnexplain.load()."
        )
    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    # Keras raises whatever a damaged or hostile file makes its many parts raise.
    except Exception as error:
        foreign = sorted(_foreign(config))
        if foreign:
            raise ModelError(
                f"'{path}' needs code that Keras does not have: {', '.join(foreign)}. "
                "Load it in Python with that code imported and pass the model to cnnexplain.load()."
            ) from error
        reason = " ".join(str(error).split())
        raise ModelError(f"'{path}' is damaged or no Keras model: {reason[:160]}") from error
    if not isinstance(model, keras.Model):
        raise ModelError(f"'{path}' holds a {type(model).__name__}; expected a Keras model.")
    return Classifier(model, name, hashlib.sha256(data).hexdigest())


def _config(path: Path, data: bytes) -> Any:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if archive.getinfo("config.json").file_size > CONFIG:
                raise ModelError(f"'{path}' describes its layers in more than {CONFIG >> 20} MiB, and is refused.")
            return json.loads(archive.read("config.json"))
    except ModelError:
        raise
    # Like an image, an archive from anywhere can fail in many ways.
    except Exception as error:
        legacy = " Load an older .h5 file in Keras and save it as .keras." if path.suffix in (".h5", ".hdf5") else ""
        raise ModelError(f"'{path}' is no Keras model file (.keras), or is truncated.{legacy}") from error


def _objects(config: Any) -> Iterator[dict[str, Any]]:
    """Every serialised object in a model's configuration."""
    if isinstance(config, dict):
        if "class_name" in config:
            yield config
        for value in config.values():
            yield from _objects(value)
    elif isinstance(config, list):
        for value in config:
            yield from _objects(value)


def _classes(config: Any) -> set[str]:
    return {str(found["class_name"]) for found in _objects(config)}


def _foreign(config: Any) -> set[str]:
    """What a model's configuration names that isn't part of Keras."""
    # A class of a script or notebook has no module there, and only what isn't Keras' own a registered name.
    modules = {
        str(found.get("registered_name") or found["class_name"]): str(found.get("module") or "")
        for found in _objects(config)
        if found.get("module") or found.get("registered_name")
    }
    return {name for name, module in modules.items() if module.partition(".")[0] not in ("keras", "builtins")}
