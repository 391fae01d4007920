"""The arrays of a result, from a file that anyone may have changed: numbers alone, and no more of them than the file has."""

from __future__ import annotations

import math
import os
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np

from cnnexplain import files
from cnnexplain.errors import line
from cnnexplain.interruption import check_interrupted
from cnnexplain.results.json_kinds import DamageError
from cnnexplain.types import Array

DIRECTORY = 1 << 22
"""Bytes of the longest table of contents: each array takes about a hundred."""

HEADER = re.compile(
    r"\{'descr': '([<>|=][biufc][0-9]{1,2})', 'fortran_order': (True|False), "
    r"'shape': \(((?:[0-9]{1,18}, ?)*[0-9]{0,18})\), \}\s*"
)
"""How NumPy writes what an array of numbers is: its type, order and shape."""

HEADER_BYTES, CHUNK = 1 << 12, 1 << 20


def read(path: Path) -> dict[str, Array]:
    """The arrays of a file by name.

    Raises:
        DamageError: It is no file as `numpy.savez` writes it, or holds anything else than arrays of numbers.
    """
    with _members(path) as members:
        return {name: _read(member, shape, dtype, order) for name, member, shape, dtype, order in members}


def check(path: Path) -> None:
    """Sees that the arrays of a file can be read, without reading their numbers.

    Raises:
        DamageError: They can't.
    """
    with _members(path) as members:
        for _ in members:
            pass


Member = tuple[str, BinaryIO, tuple[int, ...], np.dtype, str]


@contextmanager
def _members(path: Path) -> Iterator[Iterator[Member]]:
    """The arrays of a file, each with its name, where its numbers are read from, its shape, type and order."""
    try:
        with files.opened(path) as file:
            _check_directory(file)
            with zipfile.ZipFile(file) as archive:
                yield _each(archive, os.fstat(file.fileno()).st_size)
    except DamageError as damage:
        raise DamageError(f"{path.name}: {damage}") from damage
    except OSError as error:
        raise DamageError(f"{path.name}: {error.strerror or error}") from error
    # What zipfile and NumPy raise where a file is damaged is documented for none of them.
    except Exception as error:
        check_interrupted(error)
        raise DamageError(f"{path.name} can't be read: {line(error, 80) or type(error).__name__}") from error


def _check_directory(file: BinaryIO) -> None:
    """Sees that the table of contents at the end is no longer than that of any result, since it is read as a whole."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(size - 22, 0))
    end = file.read()
    # Of more than 4 GiB the length stands elsewhere.
    if size < 1 << 32 and (not end.startswith(b"PK\5\6") or int.from_bytes(end[12:16], "little") > DIRECTORY):
        raise DamageError("it is no file of arrays, or was cut off")


def _each(archive: zipfile.ZipFile, size: int) -> Iterator[Member]:
    found: set[str] = set()
    for member in archive.infolist():
        name = member.filename.removesuffix(".npy")
        if name in found or not member.filename.endswith(".npy") or not name.isprintable():
            raise DamageError(f"'{line(member.filename, 80)}' is no array of ours, or stands there twice")
        found.add(name)
        # A few bytes can stand for gigabytes where they are compressed, as ours never are, or are used several times.
        size -= member.file_size
        if member.compress_type != zipfile.ZIP_STORED or size < 0:
            raise DamageError("it is compressed, or holds more than its own bytes")
        with archive.open(member) as stream:
            version, length = stream.read(8), stream.read(2)
            if version == b"\x93NUMPY\2\0":
                length += stream.read(2)
            elif version != b"\x93NUMPY\1\0":
                raise DamageError(f"'{line(name, 80)}' is no array of NumPy")
            count = int.from_bytes(length, "little")
            header = HEADER.fullmatch(stream.read(min(count, HEADER_BYTES)).decode("latin-1"))
            if header is None:
                raise DamageError(f"'{line(name, 80)}' is no array of numbers")
            shape = tuple(int(side) for side in re.findall("[0-9]+", header[3]))
            dtype = np.dtype(header[1])
            if math.prod(shape) * dtype.itemsize != member.file_size - len(version) - len(length) - count:
                raise DamageError(f"'{line(name, 80)}' holds another number of values than its shape {line(shape, 80)}")
            yield name, stream, shape, dtype, "F" if header[2] == "True" else "C"  # type: ignore[misc]


def _read(stream: BinaryIO, shape: tuple[int, ...], dtype: np.dtype, order: str) -> Array:
    array = np.empty(math.prod(shape), dtype)
    numbers, filled = array.view(np.uint8), 0
    while filled < len(numbers):
        more = stream.read(min(CHUNK, len(numbers) - filled))
        if not more:
            raise DamageError("it was cut off")
        numbers[filled : filled + len(more)] = np.frombuffer(more, np.uint8)
        filled += len(more)
    return array.reshape(shape, order="F" if order == "F" else "C")
