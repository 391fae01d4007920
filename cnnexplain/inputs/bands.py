"""Images of other channels than gray or colors, such as a satellite's bands: their files, and how they are shown."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from cnnexplain.errors import ImageError
from cnnexplain.inputs.image_files import FORMATS, MAX_PIXELS
from cnnexplain.interruption import check_interrupted
from cnnexplain.types import Array, Floats

if TYPE_CHECKING:
    from cnnexplain.inputs.preprocess import Preprocess

SUFFIX, MAGIC = ".npy", b"\x93NUMPY"
"""What the names of files of NumPy arrays end in, and what the files begin with."""

LIMIT = 256 << 20
"""A file of more bytes is refused."""

MODES = ("L", "I", "F", "I;16", "I;16L", "I;16B")
"""Pillow's modes of a single band."""

STRETCH = (2, 98)
"""The percentiles of a band that are black and white in pictures."""


def read(file: BinaryIO, name: str, preprocess: Preprocess) -> Floats:
    """The numbers (h, w, C) in a file, as they are: a `.npy` array, the pages of a TIFF file, or the channels of an image.

    Args:
        file: The file.
        name: What to call it in an error.
        preprocess: The model's input. An array with as many bands on its first axis alone is taken as (C, h, w).

    Raises:
        ImageError: It can't be read, has other bands, or not all its numbers are finite.
    """
    start = file.read(len(MAGIC))
    file.seek(0)
    array = numbers(file, name) if start == MAGIC else _pages(file, name, preprocess.channels)
    bands = preprocess.channels
    if array.ndim == 3 and array.shape[-1] != bands and array.shape[0] == bands:
        array = np.moveaxis(array, 0, -1)
    if array.ndim != 3 or array.shape[-1] != bands or not array.size:
        raise ImageError(
            f"'{name}' holds {array.shape}; the model takes (height, width, {bands}): give a .npy array of that shape, or a "
            f"TIFF file of {bands} pages."
        )
    # What single precision can't hold becomes infinite, and is refused as that.
    with np.errstate(over="ignore", invalid="ignore"):
        found = array.astype(np.float32)
    if not np.isfinite(found).all():
        raise ImageError(f"'{name}' holds a value that is not finite (NaN or infinity).")
    return found


def numbers(file: BinaryIO, name: str) -> Array:
    """What a `.npy` file holds.

    Args:
        file: The file.
        name: What to call it in an error.

    Raises:
        ImageError: It is damaged, holds no numbers, or more than `LIMIT` bytes of them.
    """
    try:
        version = np.lib.format.read_magic(file)
        header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = header(file)
        if dtype.kind not in "biuf" or dtype.itemsize * int(np.prod(shape, dtype=object)) > LIMIT:
            raise ImageError(f"'{name}' holds {dtype} of shape {shape}; expected numbers in up to {LIMIT >> 20} MiB.")
        file.seek(0)
        array: Array = np.load(file, allow_pickle=False)
    except ImageError:
        raise
    # What damaged headers make NumPy raise.
    except Exception as error:
        check_interrupted(error)
        raise ImageError(f"'{name}' is damaged or no array: {' '.join(str(error).split())[:120]}.") from error
    return array


def _pages(file: BinaryIO, name: str, bands: int) -> Array:
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings(action="ignore"), Image.open(file, formats=FORMATS) as image:
            pages = getattr(image, "n_frames", 1)
            if image.width * image.height * max(pages, len(image.getbands())) > MAX_PIXELS:
                raise ImageError(f"The image '{name}' has more than {MAX_PIXELS // 10**6} million numbers: too large.")
            if pages == 1 or pages != bands:
                array: Array = np.asarray(image)
                return array if array.ndim == 3 else array[..., None]
            found = list[Array]()
            for page in range(pages):
                image.seek(page)
                if image.mode not in MODES or (found and found[0].shape != (image.height, image.width)):
                    raise ImageError(f"The pages of '{name}' are no single bands of one size.")
                found.append(np.asarray(image))
            return np.stack(found, axis=-1)
    except ImageError:
        raise
    except UnidentifiedImageError:
        raise ImageError(
            f"'{name}' is not an image that can be read; for a model of {bands} bands give a .npy array (height, width, "
            f"{bands}), or a TIFF file of {bands} pages."
        ) from None
    # Decoders of untrusted bytes raise many kinds.
    except Exception as error:
        check_interrupted(error)
        raise ImageError(f"The image '{name}' is damaged or truncated: {' '.join(str(error).split())[:160]}.") from error


def stretched(values: Floats, black: Floats, white: Floats) -> Floats:
    """Bands (…, h, w, C) as gray or colors from 0 to 1, each stretched between its own `STRETCH` percentiles.

    One that is the same everywhere is shown between the ends of the input range.

    Args:
        values: The bands to show, of one picture or of several, each by itself; NaN stays.
        black: (C,), the ends of the input range.
        white: Likewise.
    """
    with warnings.catch_warnings(action="ignore", category=RuntimeWarning):
        low, high = np.nanpercentile(values, STRETCH, axis=(-3, -2), keepdims=True)
    flat = ~(high > low)
    low, high = np.where(flat, black, low), np.where(flat, white, high)
    return np.asarray(np.clip((values - low) / np.where(high == low, 1, high - low), 0, 1), np.float32)
