"""A model file, which may come from anywhere → a Keras model."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import keras

from cnnexplain import modelconfig
from cnnexplain.errors import ModelError
from cnnexplain.interruption import check_interrupted

CODE = ("Lambda", "__lambda__", "TorchModuleWrapper")
"""Classes that keep Python code in a model file."""

HOMES = ("layers", "models", "initializers", "regularizers", "constraints", "dtype_policies", "quantizers")
"""Where Keras keeps what the description of a model may name."""


def read(path: Path, custom_objects: Mapping[str, Any]) -> tuple[Any, str]:
    """The model in a `.keras` or legacy HDF5 file, and the hash of the file.

    Args:
        path: The file.
        custom_objects: Classes and functions that are not Keras' own, by the names that the file has for them.

    Raises:
        ModelError: The file can't be read, is damaged, is no Keras model, carries code or needs other classes.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"Can't read '{path}': {error.strerror}.") from error
    config = modelconfig.read(path)
    kept = next((found for found in CODE if found in _classes(config)), None)
    if kept is not None:
        raise ModelError(
            f"'{path}' carries Python code ({kept}), which is refused: it would run on your machine. "
            "If you trust it, load it yourself with Keras and pass the model to cnnexplain.load()."
        )
    try:
        model = keras.saving.load_model(path, custom_objects=dict(custom_objects), compile=False, safe_mode=True)
    # Keras raises whatever a damaged or hostile file makes its many parts raise.
    except Exception as error:
        check_interrupted(error)
        foreign = sorted(_foreign(config) - set(custom_objects))
        if foreign:
            raise ModelError(
                f"'{path}' needs code that Keras does not have: {', '.join(foreign)}. "
                "Name the modules that have it with --custom-objects module:name (custom_objects=…)."
            ) from error
        reason = " ".join(str(error).split())
        raise ModelError(f"'{path}' is damaged or no Keras model: {reason[:160]}") from error
    if not isinstance(model, keras.Model):
        raise ModelError(f"'{path}' holds a {type(model).__name__}; expected a Keras model.")
    return model, hashlib.sha256(data).hexdigest()


def _objects(config: Any) -> Iterator[dict[str, Any]]:
    """Every serialised object in a model's configuration."""
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


def _foreign(config: Any) -> set[str]:
    """What a model's configuration names that isn't part of Keras."""
    # A class of a script or notebook has no module there, and only what isn't Keras' own a registered name.
    modules = {
        str(found.get("registered_name") or found["class_name"]): str(found.get("module") or "")
        for found in _objects(config)
        if found.get("module") or found.get("registered_name")
    }
    foreign = {name for name, module in modules.items() if module.partition(".")[0] not in ("keras", "builtins")}
    # Older files have class names alone.
    bare = {str(found["class_name"]) for found in _objects(config) if not {"module", "registered_name"} & set(found)}
    homes = [getattr(keras, home) for home in HOMES if hasattr(keras, home)]
    foreign |= {name for name in bare if not any(hasattr(home, name) for home in homes) and name != "Functional"}
    # Between two underscores stands what Keras itself notes, such as tensors.
    return {name for name in foreign if not name.startswith("__")}
