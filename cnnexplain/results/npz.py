"""Reads arrays from an untrusted file: only numbers, and no more than the size of the file allows."""

from __future__ import annotations

import math
import os
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from cnnexplain import files
from cnnexplain.errors import line
from cnnexplain.interruption import check_interrupted
from cnnexplain.results.damage import DamageError

if TYPE_CHECKING:
    from jaxtyping import Shaped


DIRECTORY = 1 << 22
"""Maximum number of bytes of the archive's directory; each array needs about a hundred."""

HEADER = re.compile(
    r"\{'descr': '([<>|=][biufc][0-9]{1,2})', 'fortran_order': (True|False), "
    r"'shape': \(((?:[0-9]{1,18}, ?)*[0-9]{0,18})\), \}\s*"
)
"""The header that NumPy writes for a numeric array: its type, order and shape."""

HEADER_BYTES, CHUNK = 1 << 12, 1 << 20


def read(path: Path) -> dict[str, Shaped[np.ndarray, " ..."]]:
    """The arrays of a file by name.

    Raises:
        DamageError: The file was not written by `numpy.savez`, or contains anything other than numeric arrays.
    """
    with _members(path) as members:
        return {name: _read(member, shape, dtype, order) for name, member, shape, dtype, order in members}


def check(path: Path) -> None:
    """Checks that the arrays of a file can be read, without reading their values.

    Raises:
        DamageError: They can't.
    """
    with _members(path) as members:
        for _ in members:
            pass


Member = tuple[str, BinaryIO, tuple[int, ...], np.dtype, str]


@contextmanager
def _members(path: Path) -> Iterator[Iterator[Member]]:
    """The arrays of a file: name, stream of the values, shape, type and order of each."""
    try:
        with files.opened(path) as file:
            _check_directory(file)
            with zipfile.ZipFile(file) as archive:
                yield _each(archive, os.fstat(file.fileno()).st_size)
    except DamageError as damage:
        raise DamageError(f"{path.name}: {damage}") from damage
    except OSError as error:
        raise DamageError(f"{path.name}: {error.strerror or error}") from error
    # Neither zipfile nor NumPy documents which errors it raises for a damaged file.
    except Exception as error:
        check_interrupted(error)
        raise DamageError(f"{path.name} can't be read: {line(error, 80) or type(error).__name__}") from error


def _check_directory(file: BinaryIO) -> None:
    """Checks the size of the archive's directory, because zipfile reads it as a whole."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(size - 22, 0))
    end = file.read()
    # Archives of more than 4 GiB store the size elsewhere.
    if size < 1 << 32 and (not end.startswith(b"PK\5\6") or int.from_bytes(end[12:16], "little") > DIRECTORY):
        raise DamageError("it is not a file of arrays, or is truncated")


def _each(archive: zipfile.ZipFile, size: int) -> Iterator[Member]:
    names: set[str] = set()
    for member in archive.infolist():
        name = member.filename.removesuffix(".npy")
        if name in names or not member.filename.endswith(".npy") or not name.isprintable():
            raise DamageError(f"'{line(member.filename, 80)}' is not an array of cnnexplain, or occurs twice")
        names.add(name)
        # Members that are compressed (ours never are) or share their bytes could expand to gigabytes.
        size -= member.file_size
        if member.compress_type != zipfile.ZIP_STORED or size < 0:
            raise DamageError("its arrays are compressed, or larger than the file")
        with archive.open(member) as stream:
            version, length = stream.read(8), stream.read(2)
            if version == b"\x93NUMPY\2\0":
                length += stream.read(2)
            elif version != b"\x93NUMPY\1\0":
                raise DamageError(f"'{line(name, 80)}' is not a NumPy array")
            count = int.from_bytes(length, "little")
            header = HEADER.fullmatch(stream.read(min(count, HEADER_BYTES)).decode("latin-1"))
            if header is None:
                raise DamageError(f"'{line(name, 80)}' is not a numeric array")
            shape = tuple(int(side) for side in re.findall("[0-9]+", header[3]))
            dtype = np.dtype(header[1])
            if math.prod(shape) * dtype.itemsize != member.file_size - len(version) - len(length) - count:
                raise DamageError(f"'{line(name, 80)}' does not have as many values as its shape {line(shape, 80)}")
            yield name, stream, shape, dtype, "F" if header[2] == "True" else "C"  # type: ignore[misc]


def _read(stream: BinaryIO, shape: tuple[int, ...], dtype: np.dtype, order: str) -> Shaped[np.ndarray, " ..."]:
    array = np.empty(math.prod(shape), dtype)
    numbers, filled = array.view(np.uint8), 0
    while filled < len(numbers):
        more = stream.read(min(CHUNK, len(numbers) - filled))
        if not more:
            raise DamageError("it is truncated")
        numbers[filled : filled + len(more)] = np.frombuffer(more, np.uint8)
        filled += len(more)
    return array.reshape(shape, order="F" if order == "F" else "C")
