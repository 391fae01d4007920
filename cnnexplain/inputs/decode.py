"""Decodes image files to upright pixels from 0 to 1, in little more memory than one copy of the image takes."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

# The decoders are imported here, because an import may fail or be interrupted, which is not an error of the file.
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
from cnnexplain.inputs.orientation import SIDEWAYS, TURNS, stored_axes
from cnnexplain.inputs.preprocess import Preprocess
from cnnexplain.inputs.resize_filters import Grid
from cnnexplain.inputs.source import Levels
from cnnexplain.inputs.tiff_files import Box
from cnnexplain.interruption import check_interrupted

if TYPE_CHECKING:
    from jaxtyping import Float, Float32

DECODERS = (PngImagePlugin, JpegImagePlugin, WebPImagePlugin, BmpImagePlugin, GifImagePlugin, TiffImagePlugin)
"""The decoders of Pillow that untrusted files can reach."""

LARGE = 4_000_000
"""Images with more pixels are reduced before the conversion to floating-point numbers, which take four times the memory."""


@dataclass(frozen=True)
class Decoded:
    """A decoded image.

    Args:
        pixels: (h, w, 1 or 3) float32, from 0 (black) to 1 (white), or bands (h, w, C); reduced if the image is large.
        cut: Whether these are only the center, for a model with the fit "crop".
        levels: The range of values of a file with more than 8 bits.
        grid: If a model takes single pixels from a large image, `pixels` are only those, and this is how to sample them.
    """

    pixels: Float32[np.ndarray, "h w C"]
    cut: bool = False
    levels: Levels | None = None
    grid: Grid | None = None


def decode(file: BinaryIO, name: str, preprocess: Preprocess) -> Decoded:
    """Decodes an image for a model.

    Args:
        file: The file.
        name: The name of the file in errors.
        preprocess: The model's input. Large images are reduced to a few times its rows and columns.

    Raises:
        ImageError: The file is not an image, is damaged or too large, or has values that are out of range.
    """
    start = file.read(len(bands.MAGIC))
    file.seek(0)
    if start == bands.MAGIC:
        return _array(file, name, preprocess)
    try:
        # Pillow warns about metadata, which does not affect the pixels, and about sizes, which are checked here.
        with warnings.catch_warnings(action="ignore"), Image.open(file, formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise ImageError(_too_large(name))
            upright = _upright(image, file, name, preprocess)
    except ImageError:
        raise
    except UnidentifiedImageError:
        raise ImageError(f"'{name}' is not an image that can be read ({', '.join(FORMATS)}).") from None
    except Image.DecompressionBombError:
        raise ImageError(_too_large(name)) from None
    except MemoryError as error:
        raise ImageError(f"There is not enough memory to decode the image '{name}'; make it smaller.") from error
    # Untrusted bytes can make decoders raise OSError, SyntaxError, ValueError, struct.error, zlib.error and others.
    except Exception as error:
        check_interrupted(error)
        raise ImageError(f"The image '{name}' is damaged or truncated: {' '.join(str(error).split())[:160]}.") from error
    # Free a large decoded image before the conversion to floating-point numbers.
    del image
    return _as_floats(upright, name, preprocess)


def _array(file: BinaryIO, name: str, preprocess: Preprocess) -> Decoded:
    """Reads a `.npy` array (h, w), (h, w, 1) or (h, w, 3) of bytes, or of values like those of a file with more bits."""
    values = bands.read_array(file, name)
    if values.ndim == 2:
        values = values[..., None]
    if values.ndim != 3 or values.shape[-1] not in (1, 3) or not 0 < values.size <= 3 * LARGE:
        raise ImageError(
            f"'{name}' contains an array of shape {values.shape}; expected (height, width), or with 1 or 3 channels, of up "
            f"to {LARGE // 10**6} megapixels."
        )
    if not np.isfinite(values).all():
        raise ImageError(f"The image '{name}' contains a value that is not finite (NaN or infinity).")
    if values.dtype.kind == "b" or values.dtype == np.uint8:
        return Decoded(values.astype(np.float32) / np.float32(1 if values.dtype.kind == "b" else 255))
    floats = values.dtype.kind == "f"
    extremes = float(values.min()), float(values.max())
    levels = bit_depth.gray_levels(*extremes, name, floats=floats, white_level=preprocess.white_level)
    return Decoded(np.clip(values.astype(np.float32) / np.float32(levels.white), 0, 1), levels=levels)


def _too_large(name: str) -> str:
    return f"The image '{name}' has more than {MAX_PIXELS // 10**6} megapixels: too large, or a decompression bomb."


@dataclass(frozen=True)
class _Upright:
    """An upright image, before the conversion to floating-point numbers; large images are reduced.

    Args:
        image: The image.
        large: Whether it was reduced.
        levels: The range of values of a file with more than 8 bits.
        inverted: Whether the lowest value is white.
        grid: As in `Decoded`.
    """

    image: Image.Image
    large: bool
    levels: Levels | None
    inverted: bool
    grid: Grid | None


def _upright(image: Any, file: BinaryIO, name: str, preprocess: Preprocess) -> _Upright:
    large = image.width * image.height > LARGE
    pieces = tiff_files.strips(image, file) if large else None
    size: tuple[int, int] = image.size if pieces is None else pieces.size
    if image.format == "TIFF" and bit_depth.has_misread_planes(image):
        raise ImageError(f"'{name}' has 16-bit colors in separate planes without compression; save it with one plane.")
    raw_mode = bit_depth.raw_mode(image)
    gray = image.mode.startswith(("I", "F"))
    deep_colors = not gray and ";16" in raw_mode
    scaled = deep_colors and (preprocess.white_level is not None or bit_depth.declared_white(image) is not None)
    if scaled and not bit_depth.has_low_bytes(image):
        raise ImageError(f"'{name}' stores its colors in a form without support for a white level; save it as 16-bit RGB.")
    whole = large and pieces is None
    # Reading the orientation decodes a PNG. The size at which a JPEG is decoded depends on the orientation.
    if whole and image.format not in DRAFTED:
        decoding_memory.check(image, size, file, name, copies=1 + scaled)
    # Pillow turns TIFF files itself if it decodes them as a whole.
    orientation = 1 if image.format == "TIFF" and pieces is None else image.getexif().get(ExifTags.Base.Orientation, 1)
    sampled = large and preprocess.samples
    reduced = large and not sampled
    box, target = large_images.plan(image, size, preprocess, orientation) if reduced else ((0.0, 0.0, *size), size)
    if whole and image.format in DRAFTED:
        decoding_memory.check(image, size, file, name, copies=1)

    stored: Crop = image.crop if pieces is None else pieces.crop
    crop, levels = stored, None
    if gray:
        extremes: list[Any] = [stored(block).convert("F").getextrema() for block in large_images.blocks(size)]
        levels = bit_depth.gray_levels(
            min(low for low, _ in extremes),
            max(high for _, high in extremes),
            name,
            floats=image.mode.startswith("F"),
            in_file=bit_depth.declared_white(image),
            white_level=preprocess.white_level,
        )
    elif deep_colors and image.mode in ("RGB", "RGBA"):
        extremes = [channel for block in large_images.blocks(size) for channel in stored(block).getextrema()[:3]]
        levels = bit_depth.color_levels(256 * max(high for _, high in extremes) + 255, image, preprocess.white_level)
        if levels.white != bit_depth.WHITE:
            low = _low_bytes(file) if pieces is None else partial(pieces.crop, before=bit_depth.keep_low_bytes)
            crop = partial(_scaled, stored, low, levels.white, raw_mode.startswith("LA"))

    mode = "F" if gray else "RGBA" if image.has_transparency_data else "L" if image.mode in ("1", "L") else "RGB"
    grid = None
    if sampled:
        rows, columns, grid = preprocess.grid(*(size if orientation in SIDEWAYS else size[::-1])).needed()
        small = large_images.picked(crop, mode, size, *stored_axes(rows, columns, size, orientation))
    else:
        small = large_images.shrunk(crop, mode, box, target) if large else crop((0, 0, *size))
    upright = small if orientation not in TURNS else small.transpose(TURNS[orientation])
    return _Upright(upright.convert(mode), large, levels, gray and bit_depth.is_inverted(image), grid)


def _as_floats(upright: _Upright, name: str, preprocess: Preprocess) -> Decoded:
    values = np.array(upright.image, np.float32)
    if upright.image.mode == "F":
        assert upright.levels is not None
        if not np.isfinite(values).all():
            raise ImageError(f"The image '{name}' contains a value that is not finite (NaN or infinity).")
        pixels = np.clip(values[..., None] / upright.levels.white, 0, 1)
        pixels = 1 - pixels if upright.inverted else pixels
    else:
        values /= 255
        pixels = _composite(values) if upright.image.mode == "RGBA" else np.atleast_3d(values)
    cut = upright.large and preprocess.fit == "crop"
    return Decoded(np.asarray(pixels, np.float32), cut, upright.levels, upright.grid)


def _low_bytes(file: BinaryIO) -> Crop:
    """Gives parts of the low bytes of the colors of a file."""
    file.seek(0)
    image = Image.open(file, formats=FORMATS)
    bit_depth.keep_low_bytes(image)
    return image.crop


def _scaled(high: Crop, low: Crop, white: float, gray: bool, box: Box) -> Image.Image:
    return bit_depth.combined(high(box), low(box), white, gray=gray)


def _composite(rgba: Float[np.ndarray, "h w 4"]) -> Float32[np.ndarray, "h w 3"]:
    """Colors on a white background, or on black if the visible part is light and would vanish on white."""
    color, alpha = rgba[..., :3], rgba[..., 3:]
    brightness = float((color * alpha).mean() / max(float(alpha.mean()), 1e-6))
    background = 0.0 if brightness > 0.5 else 1.0
    return np.asarray(color * alpha + background * (1 - alpha), np.float32)
