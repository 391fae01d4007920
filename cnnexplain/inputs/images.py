"""Reads image files, folders, globs, samples and arrays as batches in the model's input range, with their sources."""

from __future__ import annotations

import glob
import hashlib
import math
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnexplain.errors import ImageError, UsageError, suggest
from cnnexplain.inputs import bands, datasets, folders
from cnnexplain.inputs.decode import Decoded, decode
from cnnexplain.inputs.preprocess import Preprocess, TakesImages, preprocess_of
from cnnexplain.inputs.source import Levels, Source
from cnnexplain.interruption import check_interrupted

if TYPE_CHECKING:
    from jaxtyping import Float32, Shaped

SUFFIXES = (".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".gif", ".tif", ".tiff")
"""The suffixes of files in a folder that are read as images."""


class ImageBatch(np.ndarray[Any, np.dtype[np.float32]]):
    """A float32 array (N, H, W, C) in the model's input range, with the `sources` of the images.

    Selecting images (`batch[:3]`) keeps their sources; any other operation returns an array without sources.
    """

    sources: tuple[Source, ...]

    def __new__(cls, array: Shaped[np.ndarray, "*shape"], sources: Sequence[Source]) -> ImageBatch:
        """Make a batch from an array (N, H, W, C) and its N sources."""
        batch = np.asarray(array, np.float32).view(cls)
        batch.sources = tuple(sources)
        # Images that were changed in place would keep the names and hashes of the original ones.
        batch.flags.writeable = False
        return batch

    def __array_finalize__(self, array: object) -> None:
        self.sources = ()

    def __getitem__(self, key: Any) -> Any:
        selected = super().__getitem__(key)
        are_images = isinstance(key, slice) or (isinstance(key, list | np.ndarray) and np.ndim(key) == 1)
        if are_images and isinstance(selected, ImageBatch) and len(self.sources) == len(self):
            places = range(len(self))[key] if isinstance(key, slice) else np.arange(len(self))[key]
            selected.sources = tuple(self.sources[i] for i in places)
            selected.flags.writeable = False
        return selected


def find(names: Iterable[str | os.PathLike[str]]) -> list[str]:
    """Expands names of files, folders, globs and samples to image files and samples, in this order.

    A folder stands for the image files in it at any depth, sorted by name. In a glob, `**` matches folders at any depth.

    Raises:
        UsageError: A file or sample does not exist, or a glob matches no file.
        ImageError: A folder contains no image.
    """
    expanded: list[str] = []
    for name in [os.fspath(name) for name in names]:
        try:
            expanded += _expanded(name)
        except OSError as error:
            raise UsageError(f"Can't look for '{name[:80]}': {error.strerror}.") from error
    return expanded


def _expanded(name: str) -> list[str]:
    path = Path(name)
    if not name:
        raise UsageError("An image was given by an empty name; expected a file, folder, glob or sample.")
    if path.is_dir():
        inside = folders.files(name, SUFFIXES) or folders.files(name, (bands.SUFFIX,))
        if not inside:
            raise ImageError(f"The folder '{name}' contains no image ({', '.join(SUFFIXES)}).")
        return inside
    if path.exists():
        return [name]
    if glob.has_magic(name):
        matches = folders.matching(name)
        if not matches:
            raise UsageError(f"No file matches '{name}'.")
        return matches
    if _is_sample(name):
        datasets.locate(name)
        return [name]
    raise UsageError(f"There is no file '{name}'.{suggest(path.name, _siblings(path))}")


def read_images(
    names: Iterable[str | os.PathLike[str]] | str | os.PathLike[str],
    classifier: Preprocess | TakesImages,
    *,
    invert: bool | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> ImageBatch:
    """Reads images into one batch.

    Args:
        names: Files (PNG, JPEG, WebP, BMP, GIF, TIFF), folders, globs, or samples such as "mnist:test/42"; one or several.
        classifier: The classifier for which the images are prepared, or its `Preprocess`.
        invert: Whether to swap dark and light. None inverts dark-on-light images if the model takes light digits on black.
        progress: Called with the number of images read, and the total.

    Returns:
        A float32 array (N, H, W, C) in the model's input range, with `sources`.

    Raises:
        UsageError: An image does not exist.
        ImageError: An image can't be read.
    """
    paths = find([names] if isinstance(names, str | os.PathLike) else names)
    if not paths:
        raise UsageError("No image was given: name at least one file, folder or sample such as 'mnist:test/42'.")
    preprocess = preprocess_of(classifier)
    inputs, sources = [], []
    for number, name in enumerate(paths, start=1):
        image, source = read(name, preprocess, invert)
        inputs.append(image)
        sources.append(source)
        if progress is not None:
            progress(number, len(paths))
    return ImageBatch(np.stack(inputs), sources)


def as_batch(images: object, classifier: Preprocess | TakesImages) -> ImageBatch:
    """Converts images to a batch.

    Args:
        images: A batch, a path or sample, several of them, or an array. An array of uint8 contains pixels from 0 to 255,
            and is converted to the model's input range, as are other integers if the value of white is known. Any other
            array must be in this range already. An array may lack the first axis (one image), or the last for gray images.
        classifier: The classifier for which the images are prepared, or its `Preprocess`.

    Raises:
        UsageError: An array has the wrong shape.
        ImageError: An array is empty, not finite, or out of the model's input range.
    """
    preprocess = preprocess_of(classifier)
    if isinstance(images, ImageBatch) and images.sources:
        _check_values(images, preprocess, "The batch")
        if images.shape[1:] != preprocess.shape:
            raise UsageError(wrong_shape(images.shape, preprocess))
        return images
    if isinstance(images, str | os.PathLike):
        return read_images([images], preprocess)
    if isinstance(images, Sequence) and images and all(isinstance(item, str | os.PathLike) for item in images):
        return read_images(images, preprocess)
    if isinstance(images, Sequence) and not len(images):
        raise UsageError("There are no images to explain; give at least one.")
    try:
        array = np.asarray(images)
    except ValueError as error:
        raise UsageError(f"The images are not an array of numbers: {error}") from error
    return _from_array(array, preprocess)


def _from_array(array: Shaped[np.ndarray, "*shape"], preprocess: Preprocess) -> ImageBatch:
    shape = array.shape
    full = preprocess.shape
    short = full[:2] if preprocess.channels == 1 else full
    if shape in (full, short):
        array = array.reshape(1, *full)
    elif shape[1:] in (full, short):
        array = array.reshape(-1, *full)
    else:
        raise UsageError(wrong_shape(shape, preprocess))
    if not len(array):
        raise ImageError("The array contains no image.")
    levels = None
    if preprocess.bands is not None and array.dtype.kind in "iu":
        array = preprocess.encode(array.astype(np.float32))
    elif array.dtype == np.uint8:
        array = preprocess.encode(array.astype(np.float32) / 255)
    elif array.dtype.kind in "iu" and preprocess.white_level is not None and array.min() >= 0:
        levels = Levels(float(array.max()), preprocess.white_level, declared=True)
        array = preprocess.encode(np.clip(array.astype(np.float32) / np.float32(preprocess.white_level), 0, 1))
    elif array.dtype.kind not in "fiu":
        raise ImageError(f"The array contains {array.dtype}; expected uint8 from 0 to 255 or floating-point numbers.")
    _check_values(array, preprocess, "The array")
    array = np.ascontiguousarray(array, np.float32)
    hashes = [hashlib.sha256(image).hexdigest() for image in array]
    sources = [Source(f"array[{i}]", sha256, levels=levels) for i, sha256 in enumerate(hashes)]
    return ImageBatch(array, sources)


def wrong_shape(shape: tuple[int, ...], preprocess: Preprocess) -> str:
    """The error message for images whose shape differs from the model's input."""
    return f"The images have shape {shape}; the model takes {('N', *preprocess.shape)}.".replace("'N'", "N")


def _check_values(array: Shaped[np.ndarray, "N H W C"], preprocess: Preprocess, what: str) -> None:
    lowest, highest = float(array.min()), float(array.max())
    # If one of the numbers is NaN, so are both of these.
    if not (math.isfinite(lowest) and math.isfinite(highest)):
        raise ImageError(f"{what} contains a value that is not finite (NaN or infinity).")
    low, high, slack = preprocess.low, preprocess.high, 1e-3 * (preprocess.high - preprocess.low)
    # Bands may have any values.
    is_guess = preprocess.bands is not None or ("range" in preprocess.assumed and array.dtype.kind == "f")
    if not is_guess and (lowest < low - slack or highest > high + slack):
        raise ImageError(
            f"{what} has values from {lowest:g} to {highest:g}, but the model's input ranges from {low:g} to {high:g}. "
            "Scale it, or pass pixels from 0 to 255 as uint8. If it contains integers of more bits, give the value of white "
            "(white_level)."
        )


def read(name: str, preprocess: Preprocess, invert: bool | None) -> tuple[Float32[np.ndarray, "H W C"], Source]:
    """Reads one image.

    Args:
        name: A file or sample, as returned by `find`.
        preprocess: The model's input.
        invert: As for `read_images`.

    Returns:
        The image (H, W, C) in the model's input range, and its source.

    Raises:
        UsageError: There is no such sample.
        ImageError: The image can't be read.
    """
    if Path(name).exists() or not _is_sample(name):
        sha256, decoded = _file(name, preprocess)
    else:
        sample, _ = datasets.sample(name)
        sha256 = hashlib.sha256(sample.tobytes()).hexdigest()
        decoded = Decoded(sample[..., None].astype(np.float32) / 255)
    pixels = decoded.pixels
    if preprocess.bands is not None and (pixels.shape[-1] != preprocess.bands or invert):
        reason = "dark and light can't be swapped in bands" if invert else f"the model takes {preprocess.bands} bands"
        raise ImageError(f"'{name}' can't be used: {reason}. Give .npy arrays (height, width, {preprocess.bands}).")
    remaining = replace(preprocess, fit="stretch", crop=1.0) if decoded.cut else preprocess
    image, inverted = remaining.apply(pixels, invert, decoded.grid)
    preset = preprocess.preset
    if preset is not None and float(image.max()) == preprocess.low:
        raise ImageError(f"'{name}' shows only background: there is no {preset.subject} to explain.")
    resized = decoded.cut or decoded.grid is not None or not preprocess.keeps(*pixels.shape[:2])
    photograph = preset is not None and preset.is_photograph(pixels)
    return image, Source(name, sha256, inverted, resized, photograph, decoded.levels)


def digest(name: str) -> str | None:
    """The hash of the bytes of a file, or of the pixels of a sample; None if it can't be read."""
    try:
        if Path(name).exists() or not _is_sample(name):
            with Path(name).open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        return hashlib.sha256(datasets.sample(name)[0].tobytes()).hexdigest()
    except (OSError, UsageError) as error:
        check_interrupted(error)
        return None


def _file(name: str, preprocess: Preprocess) -> tuple[str, Decoded]:
    """The hash of a file, and the decoded image."""
    try:
        if not Path(name).is_file():
            raise ImageError(f"'{name}' is not a file.")
        with Path(name).open("rb") as file:
            if not file.read(1):
                raise ImageError(f"The file '{name}' is empty.")
            file.seek(0)
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            file.seek(0)
            if preprocess.bands is not None:
                return sha256, Decoded(bands.read(file, name, preprocess))
            return sha256, decode(file, name, preprocess)
    except OSError as error:
        check_interrupted(error)
        raise ImageError(f"Can't read '{name}': {error.strerror}.") from error


def _is_sample(name: str) -> bool:
    scheme, colon, rest = name.partition(":")
    return bool(colon) and len(scheme) > 1 and scheme.isalpha() and not rest.startswith("//")


def _siblings(path: Path) -> list[str]:
    return os.listdir(path.parent) if path.parent.is_dir() else []
