"""Reads masks of the relevant pixels from an array, or from a folder with an image for each explained image."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cnnexplain.errors import UsageError, line, reason
from cnnexplain.inputs import images
from cnnexplain.inputs.preprocess import Preprocess
from cnnexplain.interruption import check_interrupted
from cnnexplain.results.file_names import picture_names

if TYPE_CHECKING:
    from jaxtyping import Bool


class Masks:
    """The masks of images, by the names of the images.

    Args:
        given: An array (N, H, W), or the path of a folder. The mask of "photos/cat.jpg" is the file "cat.png" in it, that of
            "mnist:test/42" the file "mnist-test-42.png"; other image formats work as well. The relevant pixels of an array
            are True or 1, those of a file have at least half the brightness of white.
        names: The names of the N images.
        preprocess: The model's input; masks are fitted to it like images.

    Raises:
        UsageError: The folder does not exist, none of its files is the mask of an image, no mask has a relevant pixel, or
            the array has another shape or other values than 0 and 1.
        ImageError: A mask can't be read.
    """

    def __init__(self, given: object, names: Sequence[str], preprocess: Preprocess) -> None:
        if isinstance(given, str | os.PathLike):
            read = _read(Path(given), names, preprocess)
        else:
            read = dict(enumerate(_checked(given, (len(names), *preprocess.shape[:2]))))
        self._masks = {place: mask for place, mask in read.items() if mask.any()}
        if not self._masks:
            raise UsageError(
                "No mask has a relevant pixel: expected pixels of at least half the brightness of white in files, and True "
                "or 1 in an array."
            )
        counts = {
            "have no mask": len(names) - len(read),
            "have a mask without relevant pixels": len(read) - len(self._masks),
        }
        self.warnings = [
            f"{count} of {len(names)} images {what}; the metrics that need masks leave them out."
            for what, count in counts.items()
            if count
        ]
        """How many images have no mask that can be used."""

    def identity(self) -> str:
        """A hash of all masks that can be used."""
        found = hashlib.sha256()
        for place, mask in self._masks.items():
            found.update(f"{place}:".encode())
            found.update(mask.tobytes())
        return found.hexdigest()

    def __getitem__(self, place: int) -> Bool[np.ndarray, "H W"] | None:
        """The mask of an image; None if there is none, or if none of its pixels is relevant."""
        return self._masks.get(place)


def _checked(given: object, expected: tuple[int, ...]) -> Bool[np.ndarray, "N H W"]:
    try:
        array = np.asarray(given)
    # Tensors of other libraries raise errors of their own.
    except Exception as error:
        check_interrupted(error)
        raise UsageError(f"The masks are not an array of numbers: {reason(error)}.") from error
    if array.shape != expected:
        raise UsageError(
            f"The masks have the shape {line(array.shape)}; expected booleans, or 0 and 1, of the shape {expected}."
        )
    if array.dtype.kind not in "biuf":
        raise UsageError(f"The masks are {line(array.dtype)}; expected booleans, or 0 and 1.")
    for mask in array:
        others = mask[(mask != 0) & (mask != 1)]
        if others.size:
            raise UsageError(f"The masks contain {others[0]:.6g}; expected 0 and 1.")
    return array.astype(bool)


def _read(folder: Path, names: Sequence[str], preprocess: Preprocess) -> dict[int, Bool[np.ndarray, "H W"]]:
    """The masks in a folder, by the number of the image."""
    bright = replace(
        preprocess,
        color="gray",
        scale=1 / 255,
        mean=(0.0,),
        std=(1.0,),
        fit="stretch" if preprocess.preset is not None else preprocess.fit,
        interpolation="nearest",
        antialias=False,
        white_level=None,
        bands=None,
        show_bands=None,
        assumed=(),
    )
    files = _files(folder, names)
    return {place: images.read(file, bright, invert=False)[0][..., 0] >= 1 / 2 for place, file in files.items()}


def _files(folder: Path, names: Sequence[str]) -> dict[int, str]:
    """The files of masks in a folder, by the number of the image."""
    if not folder.is_dir():
        raise UsageError(f"There is no folder of masks '{folder}'.")
    found = {path.stem: str(path) for path in sorted(folder.iterdir()) if path.suffix.lower() in images.SUFFIXES}
    stems = [Path(name).stem for name in picture_names(names, suffix="png")]
    files = {place: found[stem] for place, stem in enumerate(stems) if stem in found}
    if not files:
        raise UsageError(
            f"The folder '{folder}' has no mask for any of the {len(names)} images; expected files such as "
            f"'{line(stems[0])}.png'."
        )
    return files
