"""An image file of any of the formats → its pixels from 0 to 1, upright, in little more memory than one copy of it takes."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, BinaryIO, TypeAlias

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
from cnnexplain.inputs import bands, bit_depth, tiff_files
from cnnexplain.inputs.bit_depth import Levels
from cnnexplain.inputs.digits import LARGEST
from cnnexplain.inputs.image_files import FORMATS, MAX_PIXELS
from cnnexplain.inputs.preprocess import Preprocess
from cnnexplain.inputs.resize_filters import Grid
from cnnexplain.inputs.resizing import middle_part
from cnnexplain.inputs.tiff_files import Box
from cnnexplain.interruption import check_interrupted
from cnnexplain.types import Floats, Integers

DECODERS = (PngImagePlugin, JpegImagePlugin, WebPImagePlugin, BmpImagePlugin, GifImagePlugin, TiffImagePlugin)
"""What untrusted files may reach of Pillow."""

DRAFTED = ("JPEG", "MPO")
"""The formats that can be decoded at a half, a quarter or an eighth of their size."""

LARGE = 4_000_000
"""Of an image of more pixels only a smaller one is made in floating-point numbers, which take four times the memory."""

LEAST = 16
"""How many rows and columns at least are made of a large image, so that a block of it is small."""

BLOCK = 1 << 20
"""How many pixels of a large image are made smaller at a time."""

MEMORY = 460 << 20
"""An image is refused that takes more bytes than that to decode; what is done with it then takes some 40 MiB."""

BYTES = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16L": 2, "I;16B": 2}
"""How many bytes a pixel has in Pillow's memory, where these are not four."""

ROW = 8
"""How many bytes Pillow takes for each row besides."""

WEBP = 16
"""Bytes for a pixel of a WebP: two canvases of its decoder, what that hands out, and Pillow's own."""

TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""How an image must be turned, by its EXIF orientation."""

LYING = (5, 6, 7, 8)
"""The orientations of which the turn swaps the sides."""

Crop: TypeAlias = Callable[[Box], Image.Image]
"""Gives a part of an image."""


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
        raise ImageError(f"'{name}' keeps colours of 16 bits in separate planes without compression; save it in one plane.")
    how = bit_depth.unpacked(image)
    grey = image.mode.startswith(("I", "F"))
    coloured = not grey and ";16" in how
    scaled = coloured and (preprocess.white_level is not None or bit_depth.told(image) is not None)
    if scaled and not bit_depth.has_low(image):
        raise ImageError(f"'{name}' keeps its colours in a form that no white level can be given to; save it as 16-bit RGB.")
    whole = large and pieces is None
    # A PNG is decoded to see how it must be turned, while at which size a JPEG is decoded depends on that.
    if whole and image.format not in DRAFTED:
        _check_memory(image, size, file, name, copies=1 + scaled)
    # What is decoded of a TIFF file as a whole Pillow turns itself.
    orientation = 1 if image.format == "TIFF" and pieces is None else image.getexif().get(ExifTags.Base.Orientation, 1)
    single = large and preprocess.samples
    means = large and not single
    box, made = _plan(image, size, preprocess, orientation) if means else ((0.0, 0.0, *size), size)
    if whole and image.format in DRAFTED:
        _check_memory(image, size, file, name, copies=1)

    stored: Crop = image.crop if pieces is None else pieces.crop
    shown, found = stored, None
    if grey:
        extremes: list[Any] = [stored(each).convert("F").getextrema() for each in _blocks(size)]
        lowest, highest = min(least for least, _ in extremes), max(most for _, most in extremes)
        found = bit_depth.of_values(
            lowest,
            highest,
            name,
            reals=image.mode.startswith("F"),
            by_file=bit_depth.told(image),
            said=preprocess.white_level,
        )
    elif coloured and image.mode in ("RGB", "RGBA"):
        extremes = [each for block in _blocks(size) for each in stored(block).getextrema()[:3]]
        found = bit_depth.of_colours(256 * max(most for _, most in extremes) + 255, image, preprocess.white_level)
        if found.white != bit_depth.WHITE:
            low = _lows(file) if pieces is None else partial(pieces.crop, before=bit_depth.keep_low)
            shown = partial(_scaled, stored, low, found.white, how.startswith("LA"))

    mode = "F" if grey else "RGBA" if image.has_transparency_data else "L" if image.mode in ("1", "L") else "RGB"
    grid = None
    if single:
        rows, columns, grid = preprocess.grid(*(size if orientation in LYING else size[::-1])).needed()
        small = _picked(shown, mode, size, *_stored(rows, columns, size, orientation))
    else:
        small = _made(shown, mode, box, made) if large else shown((0, 0, *size))
    upright = small if orientation not in TURNS else small.transpose(TURNS[orientation])
    return _Shown(upright.convert(mode), large, found, grey and bit_depth.inverted(image), grid)


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


def _plan(
    image: Any, size: tuple[int, int], preprocess: Preprocess, orientation: int
) -> tuple[tuple[float, float, float, float], tuple[int, int]]:
    """What is taken of a large image, and the columns and rows that are made of it: twice the model's input at least.

    Args:
        image: As Pillow has opened it. A JPEG is told to decode itself at a half, a quarter or an eighth of its size where
            that is enough.
        size: Its columns and rows as they are stored.
        preprocess: The model's input.
        orientation: How the image is still to be turned.
    """
    lying = orientation in LYING
    box = _taken(size, preprocess, orientation)
    made = _size((box[2] - box[0], box[3] - box[1]), preprocess, lying=lying)
    # Twice as much as is needed keeps the error, which is that of blocks of pixels, half as large.
    wanted = (2 * made[0] * size[0] // (box[2] - box[0]), 2 * made[1] * size[1] // (box[3] - box[1]))
    drafted = image.draft(None, wanted)
    if drafted is None:
        return box, made
    scale = drafted[1][2] / size[0]
    left, top, right, bottom = (scale * side for side in box)
    return (left, top, right, bottom), _size((right - left, bottom - top), preprocess, lying=lying)


def _taken(size: tuple[int, int], preprocess: Preprocess, orientation: int) -> Box:
    """The first column and row, and those after the last, of what a model takes of an image, as it is stored.

    The middle of an odd number of rows is a row nearer to the top, where that is once the image is turned.
    """
    if preprocess.fit != "crop":
        return 0, 0, *size
    lying = orientation in LYING
    width, height = size[::-1] if lying else size
    top, left, rows, columns = middle_part(height, width, preprocess.height / preprocess.width, preprocess.crop)
    across, down = (left, left + columns), (top, top + rows)
    if lying:
        across, down = down, across
    if orientation in (2, 3, 7, 8):
        across = size[0] - across[1], size[0] - across[0]
    if orientation in (3, 4, 6, 7):
        down = size[1] - down[1], size[1] - down[0]
    return across[0], down[0], across[1], down[1]


def _size(extent: tuple[float, float], preprocess: Preprocess, *, lying: bool) -> tuple[int, int]:
    """The (columns, rows) that are made of what is taken of a large image, (width, height) pixels."""
    least = (LARGEST, LARGEST) if preprocess.digits else (preprocess.width, preprocess.height)
    sides = [max(LEAST, 2 * side) for side in least]
    across, down = (length / side for length, side in zip(extent, sides[::-1] if lying else sides, strict=True))
    if preprocess.fit in ("pad", "digit"):
        across = down = max(across, down)
    columns, rows = (round(length / max(1, int(factor))) for length, factor in zip(extent, (across, down), strict=True))
    return max(1, columns), max(1, rows)


def _check_memory(image: Any, size: tuple[int, int], file: BinaryIO, name: str, *, copies: int) -> None:
    """Sees that decoding a whole image fits into `MEMORY`.

    Args:
        image: As Pillow has opened it; a JPEG is decoded at the size that it has now.
        size: The columns and rows that it has in the file.
        file: The file.
        name: What to call it in an error.
        copies: How often it is decoded.

    Raises:
        ImageError: It does not.
    """
    pixels = image.width * image.height
    needed = copies * (pixels * BYTES.get(image.mode, 4) + ROW * image.height)
    if image.format == "WEBP":
        needed = WEBP * pixels
    elif image.format in DRAFTED:
        needed += _coefficients(image, size, file)
    elif image.format == "TIFF":
        # Turning makes a copy, and the decoder of compressed files maps the file into memory.
        turned = image.tag_v2.get(tiff_files.ORIENTATION, 1) in TURNS
        needed *= 1 + turned
        needed += copies * os.fstat(file.fileno()).st_size if image.tile[0][0] == "libtiff" else 0
    if needed > MEMORY:
        raise ImageError(
            f"To decode the image '{name}' of {size[0]}×{size[1]} pixels takes {needed >> 20:,} MiB, of which "
            f"{MEMORY >> 20} are allowed. Make it smaller, or save it as a plain (not progressive) JPEG or as a PNG."
        )


def _coefficients(image: Any, size: tuple[int, int], file: BinaryIO) -> int:
    """The bytes of the coefficients that a JPEG of several scans, such as a progressive one, has in memory all at once."""
    components: list[tuple[int, int]] = [(across, down) for _, across, down, *_ in image.layer]
    # Pillow has just read the header of the first scan: its length, then how many components the scan has, and so on.
    header = 6 + 2 * len(components)
    place = file.tell()
    file.seek(place - header)
    together = file.read(3) == bytes((0, header, len(components)))
    file.seek(place)
    if together and not image.info.get("progressive"):
        return 0
    most: int = max(across for across, _ in components) * max(down for _, down in components)
    return 2 * size[0] * size[1] * sum(across * down for across, down in components) // max(1, most)


def _blocks(size: tuple[int, int]) -> Iterator[Box]:
    """Parts of up to `BLOCK` pixels that make up an image of (columns, rows)."""
    rows = max(1, BLOCK // size[0])
    columns = min(size[0], BLOCK)
    for top in range(0, size[1], rows):
        for left in range(0, size[0], columns):
            yield left, top, min(left + columns, size[0]), min(top + rows, size[1])


def _lows(file: BinaryIO) -> Crop:
    """Parts of the low bytes of the colours of a file."""
    file.seek(0)
    image = Image.open(file, formats=FORMATS)
    bit_depth.keep_low(image)
    return image.crop


def _scaled(high: Crop, low: Crop, white: float, grey: bool, box: Box) -> Image.Image:
    return bit_depth.joined(high(box), low(box), white, grey=grey)


def _made(shown: Crop, mode: str, box: tuple[float, float, float, float], made: tuple[int, int]) -> Image.Image:
    """A part of a large image by whole factors smaller, made block by block.

    Args:
        shown: Gives parts of the image.
        mode: Of the result: "F", "L", "RGB", or "RGBA", of which means are taken as they would be seen.
        box: What is taken of the image.
        made: The columns and rows of the result.
    """
    left, top, right, bottom = box
    across, down = (right - left) / made[0], (bottom - top) / made[1]
    small = Image.new(mode, made)
    rows = min(made[1], max(1, int(BLOCK / ((right - left) * down))))
    columns = made[0] if rows > 1 else min(made[0], max(1, int(BLOCK / (across * down))))
    for row in range(0, made[1], rows):
        for column in range(0, made[0], columns):
            here = min(columns, made[0] - column), min(rows, made[1] - row)
            part = (
                left + column * across,
                top + row * down,
                *(
                    min(left + (column + here[0]) * across, right),
                    min(top + (row + here[1]) * down, bottom),
                ),
            )
            first = int(part[0]), int(part[1])
            block = shown((*first, math.ceil(part[2]), math.ceil(part[3]))).convert(mode)
            within = part[0] - first[0], part[1] - first[1], part[2] - first[0], part[3] - first[1]
            # Sums of fractions may end a hair beyond the last pixel.
            within = (*within[:2], min(within[2], block.width), min(within[3], block.height))
            small.paste(block.resize(here, Image.Resampling.BOX, within), (column, row))
    return small


def _stored(rows: Integers, columns: Integers, size: tuple[int, int], orientation: int) -> tuple[Integers, Integers]:
    """The rows and columns of an upright image as those of the image as it is stored, in their order there.

    Args:
        rows: Of the upright image.
        columns: Likewise.
        size: The columns and rows of the image as it is stored.
        orientation: As EXIF has it.
    """
    if orientation not in TURNS:
        return rows, columns
    # Where four pixels come to lie tells which axis is which, and which one is reversed.
    corners = np.asarray(Image.fromarray(np.array([[0, 1], [2, 3]], np.uint8)).transpose(TURNS[orientation]), int)
    found: dict[int, Integers] = {}
    for places, step in ((rows, corners[1, 0] - corners[0, 0]), (columns, corners[0, 1] - corners[0, 0])):
        length = size[1] if abs(step) == 2 else size[0]
        found[abs(step)] = places if step > 0 else (length - 1 - places)[::-1]
    return found[2], found[1]


def _picked(shown: Crop, mode: str, size: tuple[int, int], rows: Integers, columns: Integers) -> Image.Image:
    """Single rows and columns of a large image, read block by block.

    Args:
        shown: Gives parts of the image.
        mode: Of the result.
        size: The columns and rows of the image.
        rows: Which, in their order.
        columns: Likewise.
    """
    small = Image.new(mode, (len(columns), len(rows)))
    for left, top, right, bottom in _blocks(size):
        first, last = np.searchsorted(rows, (top, bottom))
        start, stop = np.searchsorted(columns, (left, right))
        if first < last and start < stop:
            block = np.asarray(shown((left, top, right, bottom)).convert(mode))
            picked = block[np.ix_(rows[first:last] - top, columns[start:stop] - left)]
            small.paste(Image.fromarray(picked), (int(start), int(first)))
    return small


def _composite(rgba: Floats) -> Floats:
    """Colours over white, or over black where what is visible is light and would vanish on white."""
    colour, alpha = rgba[..., :3], rgba[..., 3:]
    visible = float((colour * alpha).mean() / max(float(alpha.mean()), 1e-6))
    ground = 0.0 if visible > 0.5 else 1.0
    return np.asarray(colour * alpha + ground * (1 - alpha), np.float32)
