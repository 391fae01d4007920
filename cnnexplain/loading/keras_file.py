"""A model file, which may come from anywhere → a Keras model."""

from __future__ import annotations

import copy
import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import keras

from cnnexplain.errors import ModelError, line, reason
from cnnexplain.interruption import check_interrupted
from cnnexplain.loading import allowed_names, keras2, model_config, size_limits
from cnnexplain.model.model_files import LEGACY

CODE = ("Lambda", "__lambda__", "TorchModuleWrapper")
"""Classes that keep Python code in a model file."""

TENSORFLOW = {"softmax_v2": keras.activations.softmax, "log_softmax_v2": keras.activations.log_softmax}
"""Activations by the names that Keras writes where they are TensorFlow's functions."""


def read(path: Path, custom_objects: Mapping[str, Any], limits: bool = True) -> tuple[Any, str]:
    """The model in a `.keras` or legacy HDF5 file, and the hash of the file.

    Args:
        path: The file.
        custom_objects: Classes and functions that are not Keras' own, by the names that the file has for them.
        limits: Whether to refuse a file that declares more layers, or larger ones, than fit into memory.

    Raises:
        ModelError: The file can't be read, is damaged, is no Keras model, carries code, needs other classes, names what
            no model needs, or declares too much.
    """
    described = model_config.read(path, limits)
    config = described.config
    kept = next((found for found in CODE if found in _classes(config)), None)
    if kept is not None:
        raise ModelError(
            f"'{path}' carries Python code ({kept}), which is refused: it would run on your machine. "
            "If you trust it, load it yourself with Keras and pass the model to cnnexplain.load()."
        )
    numbers = model_config.check_weights(path, limits)
    load = _keras_2 if keras2.wrote(described.version) else _keras_3
    try:
        model = load(path, config, {**TENSORFLOW, **custom_objects}, numbers if limits else None)
    except ModelError as error:
        raise ModelError(f"'{path}' {error}") from error
    if not isinstance(model, keras.Model):
        raise ModelError(f"'{path}' holds a {type(model).__name__}; expected a Keras model.")
    with path.open("rb") as file:
        return model, hashlib.file_digest(file, "sha256").hexdigest()


def _keras_3(path: Path, config: Any, objects: Mapping[str, Any], numbers: int | None) -> Any:
    allowed_names.check(config, objects)
    guard = _guard(lambda: _built(path, config, objects), config, numbers)
    try:
        with guard:
            return _tried(lambda: keras.saving.load_model(path, custom_objects=dict(objects), compile=False, safe_mode=True))
    except ModelError as error:
        # Of a graph with operations such as x + y it writes there what it can't read.
        if path.suffix.lower() not in LEGACY:
            raise
        raise ModelError(f"{error}. Keras 3 does not keep every model in .h5: save it as .keras.") from error


def _guard(build: Callable[[], Any], config: Any, numbers: int | None) -> AbstractContextManager[None]:
    """Sees that a model fits into memory, as far as its description tells; in the block that follows, what it doesn't tell.

    Raises:
        ModelError: It doesn't.
    """
    if numbers is None:
        return nullcontext()
    size_limits.check_calls(config)
    return nullcontext() if size_limits.check_memory(build, numbers) else size_limits.guarded(numbers)


def _built(path: Path, config: Any, objects: Mapping[str, Any]) -> Any:
    """The model of a description, its weights not yet read."""
    if path.suffix.lower() in LEGACY and "module" not in config:
        kind = keras.Sequential if config["class_name"] == "Sequential" else keras.Model
        return kind.from_config(copy.deepcopy(config["config"]), custom_objects=dict(objects))
    return keras.saving.deserialize_keras_object(config, custom_objects=dict(objects), safe_mode=True)


def _keras_2(path: Path, config: Any, objects: Mapping[str, Any], numbers: int | None) -> Any:
    with _guard(lambda: keras2.Building(config, objects).model, config, numbers):
        building = _tried(lambda: keras2.Building(config, objects))
    _tried(lambda: building.read(path))
    return building.model


def _tried(load: Callable[[], Any]) -> Any:
    """What Keras makes of a file.

    Raises:
        ModelError: It can't. The message, with what Keras says, goes on after the name of the file.
    """
    try:
        return load()
    except ModelError:
        raise
    # Keras raises whatever a damaged or hostile file makes its many parts raise.
    except Exception as error:
        check_interrupted(error)
        said = _said(error)
        # It was built, and its weights are missing or those of something else.
        if re.search(r"during loading|objects could not be loaded|mismatch", said):
            raise ModelError(f"is damaged: {said}") from error
        raise ModelError(f"can't be read by Keras {keras.__version__}: {said}") from error


def _said(error: BaseException) -> str:
    """The useful part of Keras' long messages: the layer, and what they say was encountered in it."""
    # The whole of what reason() cuts: it tells the cause last, after descriptions that may be long.
    text = str(error) if ":" in reason(error) else type(error).__name__
    lost = re.search(r"(?s)Example error message for object .*?>:\s+(.*?)\s*List of objects that could not be loaded", text)
    cause = re.split(r"Exception encountered: |Error encountered during deserialization: ", lost[1] if lost else text)[-1]
    cause = re.split(r" ?(?:Full object config|Full config|config)[:=] ?\{", line(cause, 20_000))[0]
    layers = re.findall(r"using config=\{'name': '([^']{1,80})'", text)
    return (f"in layer '{layers[-1]}': " if layers else "") + (cause if len(cause) <= 300 else f"{cause[:299]}…")


def _objects(config: Any) -> Iterator[dict[str, Any]]:
    """Every serialized object in a model's configuration."""
    # A list of what is left to see, since a hostile file may nest deeper than Python calls itself.
    left = [config]
    while left:
        each = left.pop()
        if isinstance(each, dict):
            if "class_name" in each:
                yield each
            left += each.values()
        elif isinstance(each, list):
            left += each


def _classes(config: Any) -> set[str]:
    return {str(found["class_name"]) for found in _objects(config)}
