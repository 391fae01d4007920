"""How images lie in their files, which EXIF tells, and how they are turned upright."""

from __future__ import annotations

import numpy as np
from PIL import Image

from cnnexplain.types import Integers

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


def stored_axes(rows: Integers, columns: Integers, size: tuple[int, int], orientation: int) -> tuple[Integers, Integers]:
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
