"""Reads the maps of other tools from arrays and from .npy and .npz files."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib import format as npy

from cnnexplain import files
from cnnexplain.errors import UsageError, line, reason
from cnnexplain.interruption import check_interrupted

if TYPE_CHECKING:
    from jaxtyping import Float, Shaped

SUFFIXES = (".npy", ".npz")
"""The endings of files with maps."""

LARGEST = 1e30
"""The largest magnitude of a map: the sums and squares of its values stay finite."""

HEADER = 1 << 16
"""The number of bytes at the start of an array in an archive that contain its shape and type."""


def parse(texts: Sequence[str]) -> dict[str, str]:
    """The files of arguments NAME=FILE by name.

    Raises:
        UsageError: An argument has another form, a name is given twice, or a file does not exist.
    """
    found: dict[str, str] = {}
    for text in texts:
        name, equals, path = (part.strip() for part in text.rpartition("="))
        if not equals or not name or not path:
            raise UsageError(f"--maps takes NAME=FILE, such as lime=lime.npy, but got '{line(text, 60)}'.")
        if name in found:
            raise UsageError(f"--maps was given two files for '{line(name, 60)}'; give one.")
        _existing(name, path)
        found[name] = path
    return found


def maps(name: str, given: object, count: int, shape: tuple[int, int]) -> Float[np.ndarray, "N H W"]:
    """The maps of a method.

    Args:
        name: Its name.
        given: An array (N, H, W), or the path of a file with one: .npy, or .npz with a single array or one of that name.
        count: The number of images N.
        shape: (H, W), the size of the model's input.

    Raises:
        UsageError: The file can't be read, the array has another shape, or it contains NaN, infinity or values above
            `LARGEST`.
    """
    expected = (count, *shape)
    if isinstance(given, str | os.PathLike):
        array = _read(name, given, expected)
    else:
        try:
            array = np.asarray(given)
        # Tensors of other libraries raise errors of their own.
        except Exception as error:
            check_interrupted(error)
            raise UsageError(f"The maps of '{line(name)}' are not an array of numbers: {reason(error)}.") from error
    _check(name, array.shape, array.dtype, expected)
    array = array.reshape(expected)
    for number, each in enumerate(array):
        if not np.isfinite(each).all():
            raise UsageError(f"Map {number} of '{line(name)}' contains a value that is not finite (NaN or infinity).")
        largest = float(np.abs(each).max())
        if largest > LARGEST:
            raise UsageError(
                f"Map {number} of '{line(name)}' contains a magnitude of {largest:.3g}; expected at most {LARGEST:.0e}. "
                "Divide the maps by a constant before saving them."
            )
    return array if array.dtype.kind == "f" else array.astype(np.float64)


def _check(name: str, shape: tuple[int, ...], dtype: np.dtype[Any], expected: tuple[int, ...]) -> None:
    if shape not in (expected, (*expected, 1)):
        raise UsageError(
            f"The maps of '{line(name)}' have the shape {line(shape)}; expected {expected}: a map of the size of the "
            "model's input for each image. Sum color channels and resize coarse maps before saving them."
        )
    if dtype.kind not in "biuf":
        raise UsageError(f"The maps of '{line(name)}' are {line(dtype)}; expected real numbers.")


def _existing(name: str, path: str | os.PathLike[str]) -> Path:
    if Path(path).suffix.lower() not in SUFFIXES:
        raise UsageError(f"The maps of '{line(name)}' are in '{line(path)}'; expected a .npy or .npz file.")
    return files.existing(path, f"file of maps '{line(name)}'")


def _read(name: str, given: str | os.PathLike[str], expected: tuple[int, ...]) -> Shaped[np.ndarray, " ..."]:
    path = _existing(name, given)
    try:
        # Maps of many photographs may not fit into memory.
        loaded = np.load(path, mmap_mode="r", allow_pickle=False)
        array = loaded
        if not isinstance(loaded, np.ndarray):
            with loaded:
                array = _archived(name, path, loaded, expected)
    except UsageError:
        raise
    except MemoryError as error:
        raise UsageError(f"There is not enough memory for the maps in '{path}'; save them as .npy.") from error
    # Damaged files make NumPy and its libraries raise many kinds of errors.
    except Exception as error:
        check_interrupted(error)
        raise UsageError(f"'{path}' does not contain an array of numbers: {line(error, 120).rstrip('.')}.") from error
    if not isinstance(array, np.ndarray):
        raise UsageError(f"'{path}' does not contain an array of numbers.")
    return array


def _archived(name: str, path: Path, archive: Any, expected: tuple[int, ...]) -> Any:
    """The array of a .npz file, which is unpacked only if its header has the expected shape."""
    names = list(archive)
    chosen = name if name in names else names[0] if len(names) == 1 else None
    if chosen is None:
        raise UsageError(
            f"'{path}' contains {len(names)} arrays, but none is called '{line(name)}': {line(', '.join(names))}."
        )
    member = f"{chosen}.npy"
    with archive.zip.open(member if member in archive.zip.namelist() else chosen) as file:
        start = io.BytesIO(file.read(HEADER))
    read_header = npy.read_array_header_1_0 if npy.read_magic(start) == (1, 0) else npy.read_array_header_2_0
    shape, _, dtype = read_header(start)
    _check(name, shape, dtype, expected)
    return archive[chosen]
