"""What a model file says of its layers, read without Keras. The file may come from anywhere."""

from __future__ import annotations

import itertools
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cnnexplain.errors import ModelError
from cnnexplain.interruption import check_interrupted
from cnnexplain.models import LEGACY

CONFIG = 64 << 20
"""A model file whose description unpacks to more bytes is refused."""

SWOLLEN = 100
"""An HDF5 file is refused whose numbers unpack to more than so many times its own size."""


def read(path: Path) -> Any:
    """The description of the layers in a `.keras` or legacy HDF5 file.

    Raises:
        ModelError: It can't be read, is no model file, is damaged, or holds more than a model needs.
    """
    return _legacy(path) if path.suffix.lower() in LEGACY else _zipped(path)


def layers(config: Any) -> list[str]:
    """The names by which a `Classifier` reaches the layers, as far as the description tells them.

    Args:
        config: As `read` returns it.

    Raises:
        ValueError, TypeError, LookupError: It describes no model.
    """
    names: dict[str, None] = {}
    for name in _called(config):
        numbered = itertools.chain([name], (f"{name}:{number}" for number in itertools.count(2)))
        names[next(each for each in numbered if each not in names)] = None
    return list(names)


def _called(config: Any) -> Iterator[str]:
    """The name of a model's layer for each of its calls, those of nested models as "outer/inner"."""
    # Sequential models of the oldest files have nothing but the list.
    inner = config["config"]
    for layer in inner["layers"] if isinstance(inner, dict) else inner:
        if layer["class_name"] == "InputLayer":
            continue
        name = str(layer["config"]["name"])
        nested = "layers" in layer["config"]
        for _ in layer.get("inbound_nodes") or [()]:
            yield from (f"{name}/{each}" for each in _called(layer)) if nested else [name]


def check_hdf5(path: Path) -> None:
    """Sees that an HDF5 file holds plain numbers of its own: no links to other files, and no more than fits its size.

    Raises:
        ModelError: It is none, is damaged, or holds something else.
    """
    with _opened(path) as file:
        _check_numbers(file, path)


def _zipped(path: Path) -> Any:
    try:
        file = path.open("rb")
    except OSError as error:
        raise ModelError(f"Can't read '{path}': {error.strerror}.") from error
    with file:
        other = " It looks like an older HDF5 file: name it .h5." if file.read(4) == b"\x89HDF" else ""
        try:
            with zipfile.ZipFile(file) as archive:
                if archive.getinfo("config.json").file_size > CONFIG:
                    raise ModelError(f"'{path}' describes its layers in more than {CONFIG >> 20} MiB, and is refused.")
                return json.loads(archive.read("config.json"))
        except ModelError:
            raise
        # Like an image, an archive from anywhere can fail in many ways.
        except Exception as error:
            check_interrupted(error)
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
        import h5py

        try:
            self._file = h5py.File(self._path, "r")
        except OSError as error:
            raise ModelError(f"'{self._path}' is no HDF5 file (.h5), or is truncated.") from error
        return self._file

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._file.close()
        if error is not None:
            check_interrupted(error)
        if isinstance(error, OSError | RuntimeError | KeyError | ValueError | TypeError):
            raise ModelError(f"'{self._path}' is damaged: {' '.join(str(error).split())[:160]}") from error


def _check_numbers(file: Any, path: Path) -> None:
    # It brings NumPy along, which `.keras` files have no need of.
    import h5py

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
