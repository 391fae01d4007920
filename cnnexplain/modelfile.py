"""A model file, which may come from anywhere → a Keras model."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py
import keras

from cnnexplain.errors import ModelError
from cnnexplain.models import LEGACY

CONFIG = 64 << 20
"""A model file whose description unpacks to more bytes is refused."""

SWOLLEN = 100
"""An HDF5 file is refused whose numbers unpack to more than so many times its own size."""

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
    config = _legacy(path) if path.suffix.lower() in LEGACY else _zipped(path, data)
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


def check_hdf5(path: Path) -> None:
    """Sees that an HDF5 file holds plain numbers of its own: no links to other files, and no more than fits its size.

    Raises:
        ModelError: It is none, is damaged, or holds something else.
    """
    with _opened(path) as file:
        _check_numbers(file, path)


def _zipped(path: Path, data: bytes) -> Any:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if archive.getinfo("config.json").file_size > CONFIG:
                raise ModelError(f"'{path}' describes its layers in more than {CONFIG >> 20} MiB, and is refused.")
            return json.loads(archive.read("config.json"))
    except ModelError:
        raise
    # Like an image, an archive from anywhere can fail in many ways.
    except Exception as error:
        other = " It looks like an older HDF5 file: name it .h5." if data.startswith(b"\x89HDF") else ""
        raise ModelError(f"'{path}' is no Keras model file (.keras), or is truncated.{other}") from error


def _legacy(path: Path) -> Any:
    with _opened(path) as file:
        _check_numbers(file, path)
        config = file.attrs.get("model_config")
    if config is None:
        raise ModelError(
            f"'{path}' holds weights alone, and not the layers that they belong to; save the whole model with "
            "model.save('model.keras')."
        )
    try:
        if len(config) > CONFIG:
            raise ModelError(f"'{path}' describes its layers in more than {CONFIG >> 20} MiB, and is refused.")
        return json.loads(config)
    except (ValueError, TypeError, RecursionError) as error:
        raise ModelError(f"'{path}' is damaged: the description of its layers is no JSON.") from error


class _opened:  # noqa: N801  # Used like a function.
    """Opens an HDF5 file, and makes plain errors of what a damaged one raises, then and in the block."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> Any:
        try:
            self._file = h5py.File(self._path, "r")
        except OSError as error:
            raise ModelError(f"'{self._path}' is no HDF5 file (.h5), or is truncated.") from error
        return self._file

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._file.close()
        if isinstance(error, OSError | RuntimeError | KeyError | ValueError | TypeError):
            raise ModelError(f"'{self._path}' is damaged: {' '.join(str(error).split())[:160]}") from error


def _check_numbers(file: Any, path: Path) -> None:
    most = SWOLLEN * path.stat().st_size
    seen, groups, size = set(), [file], 0
    while groups:
        group = groups.pop()
        for name in group:
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise ModelError(f"'{path}' links '{name[:80]}' to somewhere else, and is refused.")
            each = group[name]
            address = h5py.h5o.get_info(each.id).addr
            if isinstance(each, h5py.Group) and address not in seen:
                groups.append(each)
            if isinstance(each, h5py.Dataset):
                if each.external or each.is_virtual:
                    raise ModelError(f"'{path}' takes '{name[:80]}' from another file, and is refused.")
                size += each.nbytes
            seen.add(address)
    if size > most:
        raise ModelError(f"'{path}' unpacks to {size >> 20} MiB, more than {SWOLLEN} times its size, and is refused.")


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
