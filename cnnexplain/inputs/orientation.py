"""The EXIF orientation of images, and how to turn them upright."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from jaxtyping import Int64

TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""The transposition that turns an image upright, by its EXIF orientation."""

SIDEWAYS = (5, 6, 7, 8)
"""The orientations with rows and columns swapped."""


def stored_axes(
    rows: Int64[np.ndarray, " rows"], columns: Int64[np.ndarray, " columns"], size: tuple[int, int], orientation: int
) -> tuple[Int64[np.ndarray, " stored_rows"], Int64[np.ndarray, " stored_columns"]]:
    """Converts rows and columns of an upright image to those of the stored image, in their order there.

    Args:
        rows: The rows of the upright image.
        columns: The columns of the upright image.
        size: The numbers of columns and rows of the stored image.
        orientation: The EXIF orientation.
    """
    if orientation not in TURNS:
        return rows, columns
    # The positions of four pixels after the turn determine which axis is which, and which one is reversed.
    corners = np.asarray(Image.fromarray(np.array([[0, 1], [2, 3]], np.uint8)).transpose(TURNS[orientation]), int)
    stored: dict[int, np.ndarray[Any, Any]] = {}
    for indices, step in ((rows, corners[1, 0] - corners[0, 0]), (columns, corners[0, 1] - corners[0, 0])):
        length = size[1] if abs(step) == 2 else size[0]
        stored[abs(step)] = indices if step > 0 else (length - 1 - indices)[::-1]
    return stored[2], stored[1]
