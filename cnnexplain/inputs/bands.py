"""Images with channels other than gray or colors, such as the bands of a satellite: reads and displays them."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from cnnexplain.errors import ImageError
from cnnexplain.inputs.image_files import FORMATS, MAX_PIXELS
from cnnexplain.interruption import check_interrupted

if TYPE_CHECKING:
    from jaxtyping import Float, Float32, Shaped

    from cnnexplain.inputs.preprocess import Preprocess

SUFFIX, MAGIC = ".npy", b"\x93NUMPY"
"""The suffix and the first bytes of files with NumPy arrays."""

MAX_BYTES = 256 << 20
"""Larger arrays are rejected."""

MODES = ("L", "I", "F", "I;16", "I;16L", "I;16B")
"""Pillow's modes with a single band."""

STRETCH = (2, 98)
"""The percentiles of a band that pictures show as black and white."""


def read(file: BinaryIO, name: str, preprocess: Preprocess) -> Float32[np.ndarray, "h w C"]:
    """Reads bands, unchanged, from a `.npy` array, the pages of a TIFF file, or the channels of an image.

    Args:
        file: The file.
        name: The name of the file in errors.
        preprocess: The model's input. If only the first axis of an array has this number of bands, it is (C, h, w).

    Returns:
        (h, w, C).

    Raises:
        ImageError: The file can't be read, has another number of bands, or contains a number that is not finite.
    """
    start = file.read(len(MAGIC))
    file.seek(0)
    array = read_array(file, name) if start == MAGIC else _pages(file, name, preprocess.channels)
    bands = preprocess.channels
    if array.ndim == 3 and array.shape[-1] != bands and array.shape[0] == bands:
        array = np.moveaxis(array, 0, -1)
    if array.ndim != 3 or array.shape[-1] != bands or not array.size:
        raise ImageError(
            f"'{name}' has the shape {array.shape}, but the model takes (height, width, {bands}). Give a .npy array of that "
            f"shape, or a TIFF file with {bands} pages."
        )
    # Numbers beyond the range of single precision become infinite, and are rejected below.
    with np.errstate(over="ignore", invalid="ignore"):
        values = array.astype(np.float32)
    if not np.isfinite(values).all():
        raise ImageError(f"'{name}' contains a value that is not finite (NaN or infinity).")
    return values


def read_array(file: BinaryIO, name: str) -> Shaped[np.ndarray, "*shape"]:
    """Reads the array in a `.npy` file.

    Args:
        file: The file.
        name: The name of the file in errors.

    Raises:
        ImageError: The file is damaged, does not contain numbers, or contains more than `MAX_BYTES` bytes.
    """
    try:
        version = np.lib.format.read_magic(file)
        header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = header(file)
        if dtype.kind not in "biuf" or dtype.itemsize * int(np.prod(shape, dtype=object)) > MAX_BYTES:
            raise ImageError(
                f"'{name}' contains {dtype} of shape {shape}; expected numbers that take up to {MAX_BYTES >> 20} MiB."
            )
        file.seek(0)
        array: np.ndarray[Any, Any] = np.load(file, allow_pickle=False)
    except ImageError:
        raise
    # A damaged header can make NumPy raise anything.
    except Exception as error:
        check_interrupted(error)
        raise ImageError(f"'{name}' is damaged or not an array: {' '.join(str(error).split())[:120]}.") from error
    return array


def _pages(file: BinaryIO, name: str, bands: int) -> Shaped[np.ndarray, "h w c"]:
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings(action="ignore"), Image.open(file, formats=FORMATS) as image:
            pages = getattr(image, "n_frames", 1)
            if image.width * image.height * max(pages, len(image.getbands())) > MAX_PIXELS:
                raise ImageError(f"The image '{name}' is too large: it has more than {MAX_PIXELS // 10**6} million numbers.")
            if pages == 1 or pages != bands:
                array = np.asarray(image)
                return array if array.ndim == 3 else array[..., None]
            arrays = list[np.ndarray[Any, Any]]()
            for page in range(pages):
                image.seek(page)
                if image.mode not in MODES or (arrays and arrays[0].shape != (image.height, image.width)):
                    raise ImageError(f"The pages of '{name}' are not single bands of the same size.")
                arrays.append(np.asarray(image))
            return np.stack(arrays, axis=-1)
    except ImageError:
        raise
    except UnidentifiedImageError:
        raise ImageError(
            f"'{name}' is not an image that can be read. For a model with {bands} bands, give a .npy array (height, width, "
            f"{bands}) or a TIFF file with {bands} pages."
        ) from None
    # Untrusted bytes can make decoders raise anything.
    except Exception as error:
        check_interrupted(error)
        raise ImageError(f"The image '{name}' is damaged or truncated: {' '.join(str(error).split())[:160]}.") from error


def stretched(
    values: Float[np.ndarray, "*N h w C"], black: Float[np.ndarray, " C"], white: Float[np.ndarray, " C"]
) -> Float32[np.ndarray, "*N h w C"]:
    """Bands as gray or colors from 0 to 1, each stretched between its `STRETCH` percentiles.

    A constant band is shown by its position in the input range instead.

    Args:
        values: (…, h, w, C), the bands to show. Each image is stretched separately; NaN stays NaN.
        black: (C,), the input for black.
        white: (C,), the input for white.
    """
    with warnings.catch_warnings(action="ignore", category=RuntimeWarning):
        low, high = np.nanpercentile(values, STRETCH, axis=(-3, -2), keepdims=True)
    flat = ~(high > low)
    low, high = np.where(flat, black, low), np.where(flat, white, high)
    return np.asarray(np.clip((values - low) / np.where(high == low, 1, high - low), 0, 1), np.float32)
