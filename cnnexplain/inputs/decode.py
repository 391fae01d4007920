"""An image file of any of the formats → its pixels from 0 to 1, upright, in little more memory than one copy of it takes."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import partial
from typing import Any, BinaryIO

import numpy as np

# The decoders are loaded here: while a file is read an import may fail, or be interrupted, for reasons of its own.
from PIL import (
    BmpImagePlugin,
    ExifTags,
    GifImagePlugin,
    Image,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

from cnnexplain.errors import ImageError
from cnnexplain.inputs import bands, bit_depth, decoding_memory, large_images, tiff_files
from cnnexplain.inputs.decoding_memory import DRAFTED
from cnnexplain.inputs.image_files import FORMATS, MAX_PIXELS
from cnnexplain.inputs.large_images import Crop
from cnnexplain.inputs.orientation import LYING, TURNS, stored_axes
from cnnexplain.inputs.preprocess import Preprocess
from cnnexplain.inputs.resize_filters import Grid
from cnnexplain.inputs.source import Levels
from cnnexplain.inputs.tiff_files import Box
from cnnexplain.interruption import check_interrupted
from cnnexplain.types import Floats

DECODERS = (PngImagePlugin, JpegImagePlugin, WebPImagePlugin, BmpImagePlugin, GifImagePlugin, TiffImagePlugin)
"""What untrusted files may reach of Pillow."""

LARGE = 4_000_000
"""Of an image of more pixels only a smaller one is made in floating-point numbers, which take four times the memory."""


@dataclass(frozen=True)
class Decoded:
    """What a file shows.

    Args:
        pixels: (h, w, 1 or 3) float32, from 0 (black) to 1 (white); fewer than the file has where it is a large image.
        cut: Whether these are the middle alone that a model with the fit "crop" takes.
        levels: Of a file of more than 8 bits.
        grid: Where the model takes single pixels of a large image, how it does of these, which are all that it takes.
    """

    pixels: Floats
    cut: bool = False
    levels: Levels | None = None
    grid: Grid | None = None


def decode(file: BinaryIO, name: str, preprocess: Preprocess) -> Decoded:
    """Decodes an image for a model.

    Args:
        file: The file.
        name: What to call it in an error.
        preprocess: The model's input. Of a large image no more is made than a few times as many rows and columns.

    Raises:
        ImageError: It is no image, is damaged or too large, or has values that are out of range.
    """
    start = file.read(len(bands.MAGIC))
    file.seek(0)
    if start == bands.MAGIC:
        return _array(file, name, preprocess)
    try:
        # Pillow warns of odd metadata, which the pixels don't depend on, and of sizes, which are checked here.
        with warnings.catch_warnings(action="ignore"), Image.open(file, formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise ImageError(_bomb(name))
            shown = _shown(image, file, name, preprocess)
    except ImageError:
        raise
    except UnidentifiedImageError:
        raise ImageError(f"'{name}' is not an image that can be read ({', '.join(FORMATS)}).") from None
    except Image.DecompressionBombError:
        raise ImageError(_bomb(name)) from None
    except MemoryError as error:
        raise ImageError(f"The memory does not suffice to decode the image '{name}'; make it smaller.") from error
    # Decoders of untrusted bytes raise many kinds (OSError, SyntaxError, ValueError, struct.error, zlib.error, …).
    except Exception as error:
        check_interrupted(error)
        raise ImageError(f"The image '{name}' is damaged or truncated: {' '.join(str(error).split())[:160]}.") from error
    # What is decoded of a large image takes too much to be kept beside floating-point numbers.
    del image
    return _decoded(shown, name, preprocess)


def _array(file: BinaryIO, name: str, preprocess: Preprocess) -> Decoded:
    """A `.npy` array (h, w), (h, w, 1) or (h, w, 3): of bytes, or as the values of a file of more than 8 bits."""
    values = bands.numbers(file, name)
    if values.ndim == 2:
        values = values[..., None]
    if values.ndim != 3 or values.shape[-1] not in (1, 3) or not 0 < values.size <= 3 * LARGE:
        raise ImageError(
            f"'{name}' holds an array of shape {values.shape}; expected (height, width), or with 1 or 3 channels, of up to "
            f"{LARGE // 10**6} megapixels."
        )
    if not np.isfinite(values).all():
        raise ImageError(f"The image '{name}' holds a value that is not finite (NaN or infinity).")
    if values.dtype.kind == "b" or values.dtype == np.uint8:
        return Decoded(values.astype(np.float32) / np.float32(1 if values.dtype.kind == "b" else 255))
    found = bit_depth.of_values(
        float(values.min()), float(values.max()), name, reals=values.dtype.kind == "f", said=preprocess.white_level
    )
    return Decoded(np.clip(values.astype(np.float32) / np.float32(found.white), 0, 1), levels=found)


def _bomb(name: str) -> str:
    return f"The image '{name}' has more than {MAX_PIXELS // 10**6} megapixels: too large, or a decompression bomb."


@dataclass(frozen=True)
class _Shown:
    """What was made of a file: an image upright, large ones smaller; its levels, and whether their lowest value is white."""

    image: Image.Image
    large: bool
    levels: Levels | None
    inverted: bool
    grid: Grid | None


def _shown(image: Any, file: BinaryIO, name: str, preprocess: Preprocess) -> _Shown:
    large = image.width * image.height > LARGE
    pieces = tiff_files.strips(image, file) if large else None
    size: tuple[int, int] = image.size if pieces is None else pieces.size
    if image.format == "TIFF" and bit_depth.torn(image):
        raise ImageError(f"'{name}' keeps colors of 16 bits in separate planes without compression; save it in one plane.")
    how = bit_depth.unpacked(image)
    gray = image.mode.startswith(("I", "F"))
    colored = not gray and ";16" in how
    scaled = colored and (preprocess.white_level is not None or bit_depth.told(image) is not None)
    if scaled and not bit_depth.has_low(image):
        raise ImageError(f"'{name}' keeps its colors in a form that no white level can be given to; save it as 16-bit RGB.")
    whole = large and pieces is None
    # A PNG is decoded to see how it must be turned, while at which size a JPEG is decoded depends on that.
    if whole and image.format not in DRAFTED:
        decoding_memory.check(image, size, file, name, copies=1 + scaled)
    # What is decoded of a TIFF file as a whole Pillow turns itself.
    orientation = 1 if image.format == "TIFF" and pieces is None else image.getexif().get(ExifTags.Base.Orientation, 1)
    single = large and preprocess.samples
    means = large and not single
    box, made = large_images.plan(image, size, preprocess, orientation) if means else ((0.0, 0.0, *size), size)
    if whole and image.format in DRAFTED:
        decoding_memory.check(image, size, file, name, copies=1)

    stored: Crop = image.crop if pieces is None else pieces.crop
    shown, found = stored, None
    if gray:
        extremes: list[Any] = [stored(each).convert("F").getextrema() for each in large_images.blocks(size)]
        lowest, highest = min(least for least, _ in extremes), max(most for _, most in extremes)
        found = bit_depth.of_values(
            lowest,
            highest,
            name,
            reals=image.mode.startswith("F"),
            by_file=bit_depth.told(image),
            said=preprocess.white_level,
        )
    elif colored and image.mode in ("RGB", "RGBA"):
        extremes = [each for block in large_images.blocks(size) for each in stored(block).getextrema()[:3]]
        found = bit_depth.of_colors(256 * max(most for _, most in extremes) + 255, image, preprocess.white_level)
        if found.white != bit_depth.WHITE:
            low = _lows(file) if pieces is None else partial(pieces.crop, before=bit_depth.keep_low)
            shown = partial(_scaled, stored, low, found.white, how.startswith("LA"))

    mode = "F" if gray else "RGBA" if image.has_transparency_data else "L" if image.mode in ("1", "L") else "RGB"
    grid = None
    if single:
        rows, columns, grid = preprocess.grid(*(size if orientation in LYING else size[::-1])).needed()
        small = large_images.picked(shown, mode, size, *stored_axes(rows, columns, size, orientation))
    else:
        small = large_images.shrunk(shown, mode, box, made) if large else shown((0, 0, *size))
    upright = small if orientation not in TURNS else small.transpose(TURNS[orientation])
    return _Shown(upright.convert(mode), large, found, gray and bit_depth.inverted(image), grid)


def _decoded(shown: _Shown, name: str, preprocess: Preprocess) -> Decoded:
    values = np.array(shown.image, np.float32)
    if shown.image.mode == "F":
        assert shown.levels is not None
        if not np.isfinite(values).all():
            raise ImageError(f"The image '{name}' holds a value that is not finite (NaN or infinity).")
        pixels = np.clip(values[..., None] / shown.levels.white, 0, 1)
        pixels = 1 - pixels if shown.inverted else pixels
    else:
        values /= 255
        pixels = _composite(values) if shown.image.mode == "RGBA" else np.atleast_3d(values)
    return Decoded(np.asarray(pixels, np.float32), shown.large and preprocess.fit == "crop", shown.levels, shown.grid)


def _lows(file: BinaryIO) -> Crop:
    """Parts of the low bytes of the colors of a file."""
    file.seek(0)
    image = Image.open(file, formats=FORMATS)
    bit_depth.keep_low(image)
    return image.crop


def _scaled(high: Crop, low: Crop, white: float, gray: bool, box: Box) -> Image.Image:
    return bit_depth.joined(high(box), low(box), white, gray=gray)


def _composite(rgba: Floats) -> Floats:
    """Colors over white, or over black where what is visible is light and would vanish on white."""
    color, alpha = rgba[..., :3], rgba[..., 3:]
    visible = float((color * alpha).mean() / max(float(alpha.mean()), 1e-6))
    ground = 0.0 if visible > 0.5 else 1.0
    return np.asarray(color * alpha + ground * (1 - alpha), np.float32)
