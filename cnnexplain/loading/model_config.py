"""What a model file says of its layers, read without Keras. The file may come from anywhere."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from cnnexplain.errors import ModelError, line
from cnnexplain.interruption import check_interrupted
from cnnexplain.loading import memory
from cnnexplain.model.layer_names import call_name, unused_name
from cnnexplain.model.model_files import LEGACY

CONFIG = 16 << 20
"""A description of more bytes is refused: a network of a thousand layers has one of two million."""

BRACKETS = 400_000
"""One with more lists and objects in it is refused: that network has eighty thousand."""

DEPTH = 200
"""One is refused in which they nest deeper: in a model that is nested ten times they nest fifty deep."""

SWOLLEN = 100
"""Weights are refused that unpack to more than so many times their size in the file."""

DIRECTORY = 1 << 20
"""A zip archive is refused whose list of files has more bytes."""

OBJECTS = 200_000
"""An HDF5 file is refused that has more groups and arrays."""

OVERRIDE = "; --no-limits (limits=False) reads it all the same."
"""What ends the message of a refusal that may be overridden."""


class Description(NamedTuple):
    """What a model file says without its weights.

    Args:
        config: The layers, as Keras describes them.
        version: That of the Keras that wrote it; None where the file does not tell.
    """

    config: Any
    version: str | None


def read(path: Path, limits: bool = True) -> Description:
    """The description of the layers in a `.keras` or legacy HDF5 file.

    Args:
        path: The file.
        limits: Whether to refuse a file that holds more than a model needs.

    Raises:
        ModelError: It can't be read, is no model file, is damaged, or holds more than a model needs.
    """
    return _legacy(path, limits) if path.suffix.lower() in LEGACY else _zipped(path, limits)


def layers(config: Any) -> list[str]:
    """The names by which a `Classifier` reaches the layers, as far as the description tells them.

    Args:
        config: As `read` returns it.

    Raises:
        ValueError, TypeError, LookupError: It describes no model.
    """
    # What stands for the input gives its name away.
    names: dict[str, None] = {"input": None}
    for name in _called(config):
        names[unused_name(name, names)] = None
    return [*names][1:]


def _called(config: Any) -> Iterator[str]:
    """The name of a model's layer for each of its calls, those of nested models as "outer/inner"."""
    # Sequential models of the oldest files have nothing but the list.
    inner = config["config"]
    for layer in inner["layers"] if isinstance(inner, dict) else inner:
        if layer["class_name"] == "InputLayer":
            continue
        inside = list(_called(layer)) if _nested(layer["config"]) else None
        for number in range(1, 1 + len(layer.get("inbound_nodes") or [()])):
            name = call_name(str(layer["config"]["name"]), number)
            yield from [name] if inside is None else (f"{name}/{each}" for each in inside)


def _nested(config: Any) -> bool:
    """Whether a layer is a model with a graph: a class may have an option of that name."""
    layers = config.get("layers")
    return isinstance(layers, list) and all(isinstance(each, dict) and "class_name" in each for each in layers)


def check_hdf5(path: Path) -> None:
    """Sees that an HDF5 file holds plain numbers of its own: no links to other files, and no more than fits its size.

    Raises:
        ModelError: It is none, is damaged, or holds something else.
    """
    with _opened(path, path) as file:
        _check_numbers(file, path, path.stat().st_size, limits=True)


def check_weights(path: Path, limits: bool = True) -> int:
    """Looks over the weights in a model file without reading them, and returns how many numbers there are.

    Args:
        path: The file, which `read` has read.
        limits: Whether to refuse weights that unpack to far more than their size, or to more than the free memory.

    Raises:
        ModelError: They are damaged, lie in another file, or are too many.
    """
    if path.suffix.lower() in LEGACY:
        with _opened(path, path) as file:
            return _check_numbers(file, path, path.stat().st_size, limits)
    try:
        with path.open("rb") as file, zipfile.ZipFile(file) as archive:
            return _check_stored(archive, file, path, limits)
    except ModelError:
        raise
    except Exception as error:
        check_interrupted(error)
        raise ModelError(f"'{path}' is damaged: {line(error)}") from error


def _zipped(path: Path, limits: bool) -> Description:
    try:
        file = path.open("rb")
    except OSError as error:
        raise ModelError(f"Can't read '{path}': {error.strerror}.") from error
    with file:
        other = " It looks like an older HDF5 file: name it .h5." if file.read(4) == b"\x89HDF" else ""
        try:
            _check_directory(file, path)
            with zipfile.ZipFile(file) as archive:
                config = _json(_member(archive, "config.json", path), path, limits)
                about = (
                    _json(_member(archive, "metadata.json", path), path, limits) if _has(archive, "metadata.json") else {}
                )
        except ModelError:
            raise
        # Like an image, an archive from anywhere can fail in many ways.
        except Exception as error:
            check_interrupted(error)
            raise ModelError(f"'{path}' is no Keras model file (.keras), or is truncated.{other}") from error
    version = about.get("keras_version") if isinstance(about, dict) else None
    return Description(config, version if isinstance(version, str) else "3")


WEIGHTS = "model.weights.h5"
"""What the weights are called in a `.keras` file."""


def _has(archive: zipfile.ZipFile, name: str) -> bool:
    return name in archive.NameToInfo


def _check_directory(file: Any, path: Path) -> None:
    """Sees that the list of files in a zip archive, which is read as a whole, is short."""
    file.seek(0, io.SEEK_END)
    file.seek(-min(file.tell(), 66_000), io.SEEK_END)
    tail = file.read()
    end = tail.rfind(b"PK\x05\x06")
    if end >= 0 and int.from_bytes(tail[end + 12 : end + 16], "little") > DIRECTORY:
        raise ModelError(f"'{path}' is a zip archive of more files than a model has, and is refused.")


def _member(archive: zipfile.ZipFile, name: str, path: Path) -> bytes:
    member = archive.getinfo(name)
    if member.file_size > CONFIG:
        raise ModelError(f"'{path}' describes its layers in more than {CONFIG >> 20} MiB, and is refused.")
    return archive.read(member)


def _check_stored(archive: zipfile.ZipFile, file: Any, path: Path, limits: bool) -> int:
    """Looks over the weights in a `.keras` file, without reading them where they are stored plainly, as Keras does."""
    if not _has(archive, WEIGHTS):
        raise ModelError(f"'{path}' is damaged: it holds no weights ({WEIGHTS}).")
    member = archive.getinfo(WEIGHTS)
    if limits:
        _check_size(member.file_size, member.compress_size, path)
    plain = member.compress_type == zipfile.ZIP_STORED
    # What stands before a member's data has a length of its own in the file.
    file.seek(member.header_offset + 26)
    before = sum(int.from_bytes(file.read(2), "little") for _ in range(2))
    weights: Any = (
        _Part(file, member.header_offset + 30 + before, member.file_size) if plain else io.BytesIO(archive.read(member))
    )
    with _opened(weights, path) as opened:
        return _check_numbers(opened, path, member.compress_size, limits)


class _Part(io.RawIOBase):
    """The bytes of a file from one place on, as a file."""

    def __init__(self, file: Any, start: int, size: int) -> None:
        self._file, self._start, self._size, self._place = file, start, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, place: int, whence: int = io.SEEK_SET) -> int:
        self._place = place + (0, self._place, self._size)[whence]
        return self._place

    def readinto(self, buffer: Any) -> int:
        self._file.seek(self._start + self._place)
        data = self._file.read(max(min(len(buffer), self._size - self._place), 0))
        buffer[: len(data)] = data
        self._place += len(data)
        return len(data)


def _legacy(path: Path, limits: bool) -> Description:
    with _opened(path, path) as file:
        _check_numbers(file, path, path.stat().st_size, limits)
        for name in ("model_config", "keras_version"):
            if name in file.attrs and file.attrs.get_id(name).get_storage_size() > CONFIG:
                raise ModelError(f"'{path}' describes its layers in more than {CONFIG >> 20} MiB, and is refused.")
        config, version = file.attrs.get("model_config"), file.attrs.get("keras_version")
    if config is None:
        raise ModelError(
            f"'{path}' holds weights alone, and not the layers that they belong to. Build the model in Python, give it them "
            "(model.load_weights), and save it whole with model.save('model.keras')."
        )
    if not isinstance(config, str | bytes):
        raise ModelError(f"'{path}' is damaged: the description of its layers is no JSON.")
    if isinstance(version, bytes):
        version = version.decode(errors="replace")
    text = config.encode(errors="replace") if isinstance(config, str) else bytes(config)
    return Description(_json(text, path, limits), version if isinstance(version, str) else None)


def _json(text: bytes, path: Path, limits: bool) -> Any:
    if len(text) > CONFIG or (limits and text.count(b"[") + text.count(b"{") > BRACKETS):
        raise ModelError(f"'{path}' describes more layers than a model has ({memory.readable(len(text))}), and is refused.")
    try:
        config = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"'{path}' is damaged: the description of its layers is no JSON.") from error
    level, depth = [config], 0
    while level:
        level, depth = [inner for each in level for inner in _inside(each)], depth + 1
    if depth > DEPTH:
        raise ModelError(f"'{path}' is damaged: the description of its layers is nested {depth:,} deep.")
    return config


def _inside(value: Any) -> Any:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


class _opened:  # noqa: N801  # Used like a function.
    """Opens an HDF5 file, and makes plain errors of what a damaged one raises, then and in the block."""

    def __init__(self, file: Any, path: Path) -> None:
        self._place, self._path = file, path

    def __enter__(self) -> Any:
        import h5py

        try:
            self._file = h5py.File(self._place, "r")
        except OSError as error:
            alone = self._place is self._path
            what = "is no HDF5 file (.h5), or is truncated" if alone else "is damaged: its weights are no HDF5 file"
            raise ModelError(f"'{self._path}' {what}.") from error
        return self._file

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._file.close()
        if error is not None:
            check_interrupted(error)
        if isinstance(error, OSError | RuntimeError | KeyError | ValueError | TypeError | OverflowError | MemoryError):
            raise ModelError(f"'{self._path}' is damaged: {line(error)}") from error


def _check_numbers(file: Any, path: Path, stored: int, limits: bool) -> int:
    """Sees that an HDF5 file holds plain numbers of its own, and returns how many."""
    # It brings NumPy along, which little else here has need of.
    import h5py

    seen, groups, size, number, numbers = set(), [file], 0, 0, 0
    while groups:
        group = groups.pop()
        for name in group:
            number += 1
            if number > OBJECTS:
                raise ModelError(f"'{path}' holds more than {OBJECTS:,} arrays and groups, and is refused.")
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise ModelError(f"'{path}' links '{line(name, 80)}' to somewhere else, and is refused.")
            each = group[name]
            address = h5py.h5o.get_info(each.id).addr
            if isinstance(each, h5py.Group) and address not in seen:
                groups.append(each)
            if isinstance(each, h5py.Dataset):
                if each.external or each.is_virtual:
                    raise ModelError(f"'{path}' takes '{line(name, 80)}' from another file, and is refused.")
                size, numbers = size + each.nbytes, numbers + int(each.size or 0)
            seen.add(address)
    if limits:
        _check_size(size, stored, path)
    return numbers


def _check_size(size: int, stored: int, path: Path) -> None:
    """Sees that weights fit their size in a file, and into memory."""
    if size > SWOLLEN * stored:
        raise ModelError(
            f"'{path}' unpacks to {size >> 20} MiB, more than {SWOLLEN} times its size, and is refused{OVERRIDE}"
        )
    if size > memory.free():
        free = memory.readable(memory.free())
        raise ModelError(f"'{path}' holds {memory.readable(size)} of weights, and {free} of memory are free{OVERRIDE}")
