"""Checks the weights in untrusted model files (HDF5) without reading them."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

from cnnexplain.errors import ModelError, line
from cnnexplain.interruption import check_interrupted
from cnnexplain.loading import memory
from cnnexplain.model.model_files import LEGACY

MAX_RATIO = 100
"""Weights that unpack to more than this many times their size in the file are rejected."""

MAX_OBJECTS = 200_000
"""HDF5 files with more groups and arrays are rejected."""

OVERRIDE = "; --no-limits (limits=False) loads it anyway."
"""The end of a message about a limit that can be overridden."""

WEIGHTS = "model.weights.h5"
"""The name of the weights in a `.keras` file."""


def check_hdf5(path: Path) -> None:
    """Checks that an HDF5 file contains only numbers of its own: no links to other files, and no more than fits its size.

    Raises:
        ModelError: The file is not an HDF5 file, is damaged, or contains something else.
    """
    with opened(path, path) as file:
        check_numbers(file, path, path.stat().st_size, limits=True)


def check_weights(path: Path, limits: bool = True) -> int:
    """Checks the weights in a model file without reading them, and returns how many numbers there are.

    Args:
        path: A file that `model_config.read` has read.
        limits: Whether to reject weights that unpack to far more than their size, or to more than the free memory.

    Raises:
        ModelError: The weights are damaged, are in another file, or are too large.
    """
    if path.suffix.lower() in LEGACY:
        with opened(path, path) as file:
            return check_numbers(file, path, path.stat().st_size, limits)
    try:
        with path.open("rb") as file, zipfile.ZipFile(file) as archive:
            return _check_archived(archive, file, path, limits)
    except ModelError:
        raise
    except Exception as error:
        check_interrupted(error)
        raise ModelError(f"'{path}' is damaged: {line(error)}") from error


class opened:  # noqa: N801  # Used like a function.
    """Opens an HDF5 file, and converts the errors that a damaged file raises, also within the `with` block.

    Args:
        file: A path or a file object.
        path: The model file, for errors.
    """

    def __init__(self, file: Any, path: Path) -> None:
        self._source, self._path = file, path

    def __enter__(self) -> Any:
        import h5py

        try:
            self._file = h5py.File(self._source, "r")
        except OSError as error:
            is_model_file = self._source is self._path
            what = (
                "is not an HDF5 file (.h5), or is truncated"
                if is_model_file
                else "is damaged: its weights are not an HDF5 file"
            )
            raise ModelError(f"'{self._path}' {what}.") from error
        return self._file

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._file.close()
        if error is not None:
            check_interrupted(error)
        if isinstance(error, OSError | RuntimeError | KeyError | ValueError | TypeError | OverflowError | MemoryError):
            raise ModelError(f"'{self._path}' is damaged: {line(error)}") from error


def check_numbers(file: Any, path: Path, stored: int, limits: bool) -> int:
    """Checks that an HDF5 file contains only plain numbers of its own, and returns how many.

    Args:
        file: The open HDF5 file.
        path: The model file, for errors.
        stored: The number of bytes that the weights take in the file.
        limits: Whether to reject weights that are too large.

    Raises:
        ModelError: The file contains something else, too many objects, or too large ones.
    """
    # Not at the top, because it imports NumPy, which the description of a model does not need.
    import h5py

    seen, groups, size, objects, numbers = set(), [file], 0, 0, 0
    while groups:
        group = groups.pop()
        for name in group:
            objects += 1
            if objects > MAX_OBJECTS:
                raise ModelError(f"'{path}' contains more than {MAX_OBJECTS:,} arrays and groups and is rejected.")
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise ModelError(f"'{path}' links '{line(name, 80)}' to another object or file and is rejected.")
            item = group[name]
            address = h5py.h5o.get_info(item.id).addr
            if isinstance(item, h5py.Group) and address not in seen:
                groups.append(item)
            if isinstance(item, h5py.Dataset):
                if item.external or item.is_virtual:
                    raise ModelError(f"'{path}' reads '{line(name, 80)}' from another file and is rejected.")
                size, numbers = size + item.nbytes, numbers + int(item.size or 0)
            seen.add(address)
    if limits:
        _check_size(size, stored, path)
    return numbers


def _check_archived(archive: zipfile.ZipFile, file: Any, path: Path, limits: bool) -> int:
    """Checks the weights in a `.keras` file, without reading them if they are stored uncompressed, as Keras does."""
    if WEIGHTS not in archive.NameToInfo:
        raise ModelError(f"'{path}' is damaged: it contains no weights ({WEIGHTS}).")
    member = archive.getinfo(WEIGHTS)
    if limits:
        _check_size(member.file_size, member.compress_size, path)
    # The lengths of the name and the extra field of a member precede its data.
    file.seek(member.header_offset + 26)
    before = sum(int.from_bytes(file.read(2), "little") for _ in range(2))
    weights: Any = (
        _FilePart(file, member.header_offset + 30 + before, member.file_size)
        if member.compress_type == zipfile.ZIP_STORED
        else io.BytesIO(archive.read(member))
    )
    with opened(weights, path) as hdf5:
        return check_numbers(hdf5, path, member.compress_size, limits)


class _FilePart(io.RawIOBase):
    """A range of bytes of a file, as a file."""

    def __init__(self, file: Any, start: int, size: int) -> None:
        self._file, self._start, self._size, self._position = file, start, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._position = offset + (0, self._position, self._size)[whence]
        return self._position

    def readinto(self, buffer: Any) -> int:
        self._file.seek(self._start + self._position)
        data = self._file.read(max(min(len(buffer), self._size - self._position), 0))
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)


def _check_size(size: int, stored: int, path: Path) -> None:
    """Checks that weights of `size` bytes, stored in `stored` bytes, are plausible and fit into memory."""
    if size > MAX_RATIO * stored:
        raise ModelError(
            f"'{path}' unpacks to {size >> 20} MiB, more than {MAX_RATIO} times its size, and is rejected{OVERRIDE}"
        )
    if size > memory.free():
        free = memory.readable(memory.free())
        raise ModelError(f"'{path}' contains {memory.readable(size)} of weights, but {free} of memory are free{OVERRIDE}")
