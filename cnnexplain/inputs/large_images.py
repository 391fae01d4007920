"""Reduces large images, block by block to save memory, by means of pixels or by sampling single pixels."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from PIL import Image

from cnnexplain.inputs.orientation import SIDEWAYS
from cnnexplain.inputs.preprocess import Preprocess
from cnnexplain.inputs.resizing import middle_part
from cnnexplain.inputs.tiff_files import Box

if TYPE_CHECKING:
    from jaxtyping import Int64

MIN_SIDE = 16
"""Large images are reduced to at least this many rows and columns, so that the blocks remain small."""

BLOCK = 1 << 20
"""The number of pixels that are reduced at a time."""

Crop: TypeAlias = Callable[[Box], Image.Image]
"""Returns a part of an image."""


def plan(
    image: Any, size: tuple[int, int], preprocess: Preprocess, orientation: int
) -> tuple[tuple[float, float, float, float], tuple[int, int]]:
    """Plans the reduction of a large image: the part of the stored image to use, and the columns and rows of the result.

    The result has at least twice the rows and columns of the model's input.

    Args:
        image: The image, opened by Pillow. A JPEG is set to decode at a half, a quarter or an eighth of its size if that is
            enough.
        size: The columns and rows of the stored image.
        preprocess: The model's input.
        orientation: The EXIF orientation of the stored image.
    """
    sideways = orientation in SIDEWAYS
    box = _used_part(size, preprocess, orientation)
    target = _size((box[2] - box[0], box[3] - box[1]), preprocess, sideways=sideways)
    # Blocks of pixels cause an error, which decoding at twice the needed size halves.
    needed = (2 * target[0] * size[0] // (box[2] - box[0]), 2 * target[1] * size[1] // (box[3] - box[1]))
    draft = image.draft(None, needed)
    if draft is None:
        return box, target
    scale = draft[1][2] / size[0]
    left, top, right, bottom = (scale * side for side in box)
    return (left, top, right, bottom), _size((right - left, bottom - top), preprocess, sideways=sideways)


def _used_part(size: tuple[int, int], preprocess: Preprocess, orientation: int) -> Box:
    """The part of a stored image that a model uses.

    Rounding moves the center up and to the left in the upright image, not in the stored one.
    """
    if preprocess.fit != "crop":
        return 0, 0, *size
    sideways = orientation in SIDEWAYS
    width, height = size[::-1] if sideways else size
    top, left, rows, columns = middle_part(height, width, preprocess.height / preprocess.width, preprocess.crop)
    across, down = (left, left + columns), (top, top + rows)
    if sideways:
        across, down = down, across
    if orientation in (2, 3, 7, 8):
        across = size[0] - across[1], size[0] - across[0]
    if orientation in (3, 4, 6, 7):
        down = size[1] - down[1], size[1] - down[0]
    return across[0], down[0], across[1], down[1]


def _size(extent: tuple[float, float], preprocess: Preprocess, *, sideways: bool) -> tuple[int, int]:
    """The (columns, rows) to which a part of (width, height) pixels is reduced."""
    preset = preprocess.preset
    needed = (preprocess.width, preprocess.height) if preset is None else (preset.working_size, preset.working_size)
    sides = [max(MIN_SIDE, 2 * side) for side in needed]
    across, down = (length / side for length, side in zip(extent, sides[::-1] if sideways else sides, strict=True))
    if preprocess.fit == "pad" or preset is not None:
        across = down = max(across, down)
    columns, rows = (round(length / max(1, int(factor))) for length, factor in zip(extent, (across, down), strict=True))
    return max(1, columns), max(1, rows)


def blocks(size: tuple[int, int]) -> Iterator[Box]:
    """Divides an image of (columns, rows) into parts of up to `BLOCK` pixels."""
    rows = max(1, BLOCK // size[0])
    columns = min(size[0], BLOCK)
    for top in range(0, size[1], rows):
        for left in range(0, size[0], columns):
            yield left, top, min(left + columns, size[0]), min(top + rows, size[1])


def shrunk(crop: Crop, mode: str, box: tuple[float, float, float, float], target: tuple[int, int]) -> Image.Image:
    """Reduces a part of a large image by means of pixels, block by block.

    Args:
        crop: Returns parts of the image.
        mode: The mode of the result: "F", "L", "RGB", or "RGBA", whose means are weighted by opacity.
        box: The part of the image.
        target: The columns and rows of the result.
    """
    left, top, right, bottom = box
    across, down = (right - left) / target[0], (bottom - top) / target[1]
    small = Image.new(mode, target)
    rows = min(target[1], max(1, int(BLOCK / ((right - left) * down))))
    columns = target[0] if rows > 1 else min(target[0], max(1, int(BLOCK / (across * down))))
    for row in range(0, target[1], rows):
        for column in range(0, target[0], columns):
            block_size = min(columns, target[0] - column), min(rows, target[1] - row)
            part = (
                left + column * across,
                top + row * down,
                min(left + (column + block_size[0]) * across, right),
                min(top + (row + block_size[1]) * down, bottom),
            )
            first = int(part[0]), int(part[1])
            block = crop((*first, math.ceil(part[2]), math.ceil(part[3]))).convert(mode)
            within = part[0] - first[0], part[1] - first[1], part[2] - first[0], part[3] - first[1]
            # Rounding errors may lead slightly beyond the last pixel.
            within = (*within[:2], min(within[2], block.width), min(within[3], block.height))
            small.paste(block.resize(block_size, Image.Resampling.BOX, within), (column, row))
    return small


def picked(
    crop: Crop,
    mode: str,
    size: tuple[int, int],
    rows: Int64[np.ndarray, " rows"],
    columns: Int64[np.ndarray, " columns"],
) -> Image.Image:
    """Samples single rows and columns of a large image, block by block.

    Args:
        crop: Returns parts of the image.
        mode: The mode of the result.
        size: The columns and rows of the image.
        rows: The rows to take, in increasing order.
        columns: The columns to take, in increasing order.
    """
    small = Image.new(mode, (len(columns), len(rows)))
    for left, top, right, bottom in blocks(size):
        first, last = np.searchsorted(rows, (top, bottom))
        start, stop = np.searchsorted(columns, (left, right))
        if first < last and start < stop:
            block = np.asarray(crop((left, top, right, bottom)).convert(mode))
            part = block[np.ix_(rows[first:last] - top, columns[start:stop] - left)]
            small.paste(Image.fromarray(part), (int(start), int(first)))
    return small
