"""Reads the maps of other tools from arrays and from .npy and .npz files."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cnnexplain import files
from cnnexplain.errors import UsageError, line
from cnnexplain.interruption import check_interrupted

if TYPE_CHECKING:
    from jaxtyping import Float, Shaped

SUFFIXES = (".npy", ".npz")
"""The endings of files with maps."""


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
        UsageError: The file can't be read, the array has another shape, or it contains NaN or infinity.
    """
    array: Shaped[np.ndarray, " ..."] = _read(name, given) if isinstance(given, str | os.PathLike) else np.asarray(given)
    expected = (count, *shape)
    if array.shape == (*expected, 1):
        array = array[..., 0]
    if array.shape != expected:
        raise UsageError(
            f"The maps of '{line(name)}' have the shape {array.shape}; expected {expected}: a map of the size of the "
            "model's input for each image. Sum color channels and resize coarse maps before saving them."
        )
    if array.dtype.kind not in "biuf":
        raise UsageError(f"The maps of '{line(name)}' are {line(array.dtype)}; expected real numbers.")
    for number, each in enumerate(array):
        if not np.isfinite(each).all():
            raise UsageError(f"Map {number} of '{line(name)}' contains a value that is not finite (NaN or infinity).")
    return array if array.dtype.kind == "f" else array.astype(np.float64)


def _existing(name: str, path: str | os.PathLike[str]) -> Path:
    if Path(path).suffix.lower() not in SUFFIXES:
        raise UsageError(f"The maps of '{line(name)}' are in '{line(path)}'; expected a .npy or .npz file.")
    return files.existing(path, f"file of maps '{line(name)}'")


def _read(name: str, given: str | os.PathLike[str]) -> Shaped[np.ndarray, " ..."]:
    path = _existing(name, given)
    try:
        # Maps of many photographs may not fit into memory.
        loaded = np.load(path, mmap_mode="r", allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded
        with loaded:
            names = list(loaded)
            chosen = name if name in names else names[0] if len(names) == 1 else None
            if chosen is None:
                raise UsageError(
                    f"'{path}' contains {len(names)} arrays, but none is called '{line(name)}': {line(', '.join(names))}."
                )
            array: Shaped[np.ndarray, " ..."] = loaded[chosen]
            return array
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        check_interrupted(error)
        if isinstance(error, UsageError):
            raise
        raise UsageError(f"'{path}' does not contain an array of numbers: {line(error, 120)}.") from error
