"""Loads a Keras model from an untrusted file."""

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
from cnnexplain.loading import allowed_names, keras2, keras2_weights, model_config, size_limits, stored_weights
from cnnexplain.model.model_files import LEGACY

CODE = ("Lambda", "__lambda__", "TorchModuleWrapper")
"""Classes that store Python code in a model file."""

TENSORFLOW = {"softmax_v2": keras.activations.softmax, "log_softmax_v2": keras.activations.log_softmax}
"""Activations by the names that Keras writes for functions of TensorFlow."""


def read(path: Path, custom_objects: Mapping[str, Any], limits: bool = True) -> tuple[Any, str]:
    """Loads the model in a `.keras` or legacy HDF5 file.

    Args:
        path: The file.
        custom_objects: Classes and functions that are not part of Keras, by their names in the file.
        limits: Whether to reject a file with more layers, or larger layers, than fit into memory.

    Returns:
        The model and the SHA-256 hash of the file.

    Raises:
        ModelError: The file can't be read, is damaged, is not a Keras model, contains Python code, needs other custom
            objects, names an object that no image model needs, or exceeds the limits.
    """
    described = model_config.read(path, limits)
    config = described.config
    code = next((name for name in CODE if name in _classes(config)), None)
    if code is not None:
        raise ModelError(
            f"'{path}' contains Python code ({code}) and is rejected: the code would run on your machine. "
            "If you trust it, load it yourself with Keras and pass the model to cnnexplain.load()."
        )
    numbers = stored_weights.check_weights(path, limits)
    load = _keras_2 if keras2.is_keras_2(described.version) else _keras_3
    try:
        model = load(path, config, {**TENSORFLOW, **custom_objects}, numbers if limits else None)
    except ModelError as error:
        raise ModelError(f"'{path}' {error}") from error
    if not isinstance(model, keras.Model):
        raise ModelError(f"'{path}' contains a {type(model).__name__}; expected a Keras model.")
    with path.open("rb") as file:
        return model, hashlib.file_digest(file, "sha256").hexdigest()


def _keras_3(path: Path, config: Any, objects: Mapping[str, Any], numbers: int | None) -> Any:
    allowed_names.check(config, objects)
    guard = _guard(lambda: _build(path, config, objects), config, numbers)
    try:
        with guard:
            return _attempt(lambda: keras.saving.load_model(path, dict(objects), compile=False, safe_mode=True))
    except ModelError as error:
        # Keras 3 writes .h5 files that it can't read if the graph has operations such as x + y.
        if path.suffix.lower() not in LEGACY:
            raise
        raise ModelError(f"{error}. Keras 3 can't store every model as .h5: save it as .keras.") from error


def _guard(build: Callable[[], Any], config: Any, numbers: int | None) -> AbstractContextManager[None]:
    """Checks that a model fits into memory. If its description does not say, the returned context checks while it is built.

    Args:
        build: Builds the model from its description.
        config: The description.
        numbers: How many numbers the file contains; None to check nothing.

    Raises:
        ModelError: The model does not fit.
    """
    if numbers is None:
        return nullcontext()
    size_limits.check_calls(config)
    return nullcontext() if size_limits.check_memory(build, numbers) else size_limits.guarded(numbers)


def _build(path: Path, config: Any, objects: Mapping[str, Any]) -> Any:
    """Builds a model from its description, without reading its weights."""
    if path.suffix.lower() in LEGACY and "module" not in config:
        kind = keras.Sequential if config["class_name"] == "Sequential" else keras.Model
        return kind.from_config(copy.deepcopy(config["config"]), custom_objects=dict(objects))
    return keras.saving.deserialize_keras_object(config, custom_objects=dict(objects), safe_mode=True)


def _keras_2(path: Path, config: Any, objects: Mapping[str, Any], numbers: int | None) -> Any:
    with _guard(lambda: keras2.build(config, objects).model, config, numbers):
        built = _attempt(lambda: keras2.build(config, objects))
    _attempt(lambda: keras2_weights.load_weights(built, path))
    return built.model


def _attempt(load: Callable[[], Any]) -> Any:
    """Calls a function that loads with Keras, and converts its errors.

    Raises:
        ModelError: It failed. The message contains that of Keras, and continues after the name of the file.
    """
    try:
        return load()
    except ModelError:
        raise
    # A damaged or hostile file can make Keras raise anything.
    except Exception as error:
        check_interrupted(error)
        message = _message(error)
        # The model was built, but its weights are missing or belong to another one.
        if re.search(r"during loading|objects could not be loaded|mismatch", message):
            raise ModelError(f"is damaged: {message}") from error
        raise ModelError(f"can't be read by Keras {keras.__version__}: {message}") from error


def _message(error: BaseException) -> str:
    """The useful part of Keras' long messages: the layer and the cause."""
    # Not reason(), which truncates: the cause comes last, after descriptions that may be long.
    text = str(error) if ":" in reason(error) else type(error).__name__
    lost = re.search(r"(?s)Example error message for object .*?>:\s+(.*?)\s*List of objects that could not be loaded", text)
    cause = re.split(r"Exception encountered: |Error encountered during deserialization: ", lost[1] if lost else text)[-1]
    cause = re.split(r" ?(?:Full object config|Full config|config)[:=] ?\{", line(cause, 20_000))[0]
    layers = re.findall(r"using config=\{'name': '([^']{1,80})'", text)
    return (f"in layer '{layers[-1]}': " if layers else "") + (cause if len(cause) <= 300 else f"{cause[:299]}…")


def _objects(config: Any) -> Iterator[dict[str, Any]]:
    """Every serialized object in a model's configuration."""
    # Not recursive, because a hostile file may nest deeper than Python's recursion limit.
    pending = [config]
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            if "class_name" in item:
                yield item
            pending += item.values()
        elif isinstance(item, list):
            pending += item


def _classes(config: Any) -> set[str]:
    return {str(item["class_name"]) for item in _objects(config)}
