"""Reads masks of the relevant pixels from an array, or from a folder with an image for each explained image."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cnnexplain.errors import UsageError, line
from cnnexplain.inputs import images
from cnnexplain.inputs.preprocess import Preprocess
from cnnexplain.results.file_names import picture_names

if TYPE_CHECKING:
    from jaxtyping import Bool


class Masks:
    """The masks of images, by the names of the images.

    Args:
        given: An array (N, H, W), or the path of a folder. The mask of "photos/cat.jpg" is the file "cat.png" in it, that of
            "mnist:test/42" the file "mnist-test-42.png"; other image formats work as well. Pixels of at least half the
            brightness of white are relevant.
        names: The names of the N images.
        preprocess: The model's input; masks are fitted to it like images.

    Raises:
        UsageError: The folder does not exist, none of its files is the mask of an image, or the array has another shape.
    """

    def __init__(self, given: object, names: Sequence[str], preprocess: Preprocess) -> None:
        self._array: Bool[np.ndarray, "N H W"] | None = None
        self._files: dict[int, str] = {}
        fit = "stretch" if preprocess.preset is not None else preprocess.fit
        self._preprocess = replace(
            preprocess,
            color="gray",
            scale=1 / 255,
            mean=(0.0,),
            std=(1.0,),
            fit=fit,
            interpolation="nearest",
            antialias=False,
            white_level=None,
            bands=None,
            show_bands=None,
            assumed=(),
        )
        if isinstance(given, str | os.PathLike):
            self._files = _files(Path(given), names)
            return
        array = np.asarray(given)
        expected = (len(names), *preprocess.shape[:2])
        if array.shape != expected or array.dtype.kind not in "biuf":
            raise UsageError(
                f"The masks have the shape {array.shape}; expected numbers or booleans of the shape {expected}."
            )
        self._array = array.astype(bool)

    def identity(self) -> str:
        """A hash of all masks."""
        if self._array is not None:
            return hashlib.sha256(self._array.tobytes()).hexdigest()
        contents = [(place, images.digest(path)) for place, path in self._files.items()]
        return hashlib.sha256(json.dumps(contents).encode()).hexdigest()

    def __getitem__(self, place: int) -> Bool[np.ndarray, "H W"] | None:
        """The mask of an image; None if there is none, or if none of its pixels is relevant."""
        if self._array is not None:
            mask: Bool[np.ndarray, "H W"] = self._array[place]
        elif place in self._files:
            values, _ = images.read(self._files[place], self._preprocess, invert=False)
            mask = values[..., 0] >= 1 / 2
        else:
            return None
        return mask if mask.any() else None


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
