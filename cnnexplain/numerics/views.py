"""Shifted, rotated and zoomed views of pictures, differentiable on every backend."""

from typing import Any

import numpy as np
from keras import ops

from cnnexplain import backend


def affine_views(z: Any, maps: Any, height: int, width: int) -> Any:
    """Views of pictures, with bilinear interpolation; the pictures are 0 beyond their borders.

    Args:
        z: (N, H, W, C).
        maps: (V, 2, 3), for each view the affine map from a position in the view, in pixels from its middle, to a position
            in the picture, in pixels from its first pixel.
        height: Rows of a view.
        width: Columns of a view.

    Returns:
        (V, height, width, N, C).
    """
    rows, columns, channels = z.shape[1:]
    # Pictures get a border of zeros, two wide at the end, so that there is a row below the last position, to which all
    # positions beyond the border are clipped. Then each pixel becomes a row.
    bordered = ops.pad(z, ((0, 0), (1, 2), (1, 2), (0, 0)))
    pixels = ops.reshape(ops.transpose(bordered, (1, 2, 0, 3)), ((rows + 3) * (columns + 3), -1))
    row, column = (
        ops.clip(_positions(maps[:, axis], height, width) + 1, 0, size + 1) for axis, size in enumerate((rows, columns))
    )
    top, left = ops.floor(row), ops.floor(column)
    down, right = row - top, column - left
    corner = ops.cast(top * (columns + 3) + left, "int32")
    numbers = ops.stack([corner, corner + 1, corner + columns + 3, corner + columns + 4])
    weights = ops.stack([(1 - down) * (1 - right), (1 - down) * right, down * (1 - right), down * right])
    seen = backend.current().weighted_rows(pixels, *(ops.reshape(each, (4, -1)) for each in (numbers, weights)))
    return ops.reshape(seen, (maps.shape[0], height, width, -1, channels))


def _positions(coefficients: Any, height: int, width: int) -> Any:
    """Rows or columns in the picture, (V, height, width), for coefficients (V, 3)."""
    down, right = (np.arange(length, dtype=np.float32) - (length - 1) / 2 for length in (height, width))
    of_row, of_column, first = (coefficients[:, place, None, None] for place in range(3))
    return ops.multiply(of_row, down[:, None]) + (ops.multiply(of_column, right) + first)
