"""Large images, made smaller while only a block of them is in memory: means of pixels, or single ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np
from PIL import Image

from cnnexplain.inputs.orientation import LYING
from cnnexplain.inputs.preprocess import Preprocess
from cnnexplain.inputs.resizing import middle_part
from cnnexplain.inputs.tiff_files import Box
from cnnexplain.types import Integers

LEAST = 16
"""How many rows and columns at least are made of a large image, so that a block of it is small."""

BLOCK = 1 << 20
"""How many pixels of a large image are made smaller at a time."""

Crop: TypeAlias = Callable[[Box], Image.Image]
"""Gives a part of an image."""


def plan(
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
    preset = preprocess.preset
    needed = (preprocess.width, preprocess.height) if preset is None else (preset.working_size, preset.working_size)
    sides = [max(LEAST, 2 * side) for side in needed]
    across, down = (length / side for length, side in zip(extent, sides[::-1] if lying else sides, strict=True))
    if preprocess.fit == "pad" or preset is not None:
        across = down = max(across, down)
    columns, rows = (round(length / max(1, int(factor))) for length, factor in zip(extent, (across, down), strict=True))
    return max(1, columns), max(1, rows)


def blocks(size: tuple[int, int]) -> Iterator[Box]:
    """Parts of up to `BLOCK` pixels that make up an image of (columns, rows)."""
    rows = max(1, BLOCK // size[0])
    columns = min(size[0], BLOCK)
    for top in range(0, size[1], rows):
        for left in range(0, size[0], columns):
            yield left, top, min(left + columns, size[0]), min(top + rows, size[1])


def shrunk(shown: Crop, mode: str, box: tuple[float, float, float, float], made: tuple[int, int]) -> Image.Image:
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


def picked(shown: Crop, mode: str, size: tuple[int, int], rows: Integers, columns: Integers) -> Image.Image:
    """Single rows and columns of a large image, read block by block.

    Args:
        shown: Gives parts of the image.
        mode: Of the result.
        size: The columns and rows of the image.
        rows: Which, in their order.
        columns: Likewise.
    """
    small = Image.new(mode, (len(columns), len(rows)))
    for left, top, right, bottom in blocks(size):
        first, last = np.searchsorted(rows, (top, bottom))
        start, stop = np.searchsorted(columns, (left, right))
        if first < last and start < stop:
            block = np.asarray(shown((left, top, right, bottom)).convert(mode))
            picked = block[np.ix_(rows[first:last] - top, columns[start:stop] - left)]
            small.paste(Image.fromarray(picked), (int(start), int(first)))
    return small
