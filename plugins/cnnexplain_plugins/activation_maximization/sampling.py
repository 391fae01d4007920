"""Pictures at positions between pixels, differentiable on every backend."""

from typing import Any

from keras import ops


def sampled(z: Any, positions: Any) -> Any:
    """Pictures at some positions, with bilinear interpolation; they are 0 beyond their borders.

    Args:
        z: (N, H, W, C).
        positions: (V, P, 2), rows and columns in pixels from the first pixel.

    Returns:
        (V, P, N · C).
    """
    rows, columns = z.shape[1:3]
    # Pictures get a border of zeros, two wide at the end, so that there is a row below the last position, to which all
    # positions beyond the border are clipped. Then each pixel becomes a row.
    bordered = ops.pad(z, ((0, 0), (1, 2), (1, 2), (0, 0)))
    pixels = ops.reshape(ops.transpose(bordered, (1, 2, 0, 3)), ((rows + 3) * (columns + 3), -1))
    row, column = ops.clip(positions[..., 0] + 1, 0, rows + 1), ops.clip(positions[..., 1] + 1, 0, columns + 1)
    top, left = ops.floor(row), ops.floor(column)
    down, right = (row - top)[..., None], (column - left)[..., None]
    corner = ops.cast(top * (columns + 3) + left, "int32")
    return (
        (1 - down) * (1 - right) * ops.take(pixels, corner, axis=0)
        + (1 - down) * right * ops.take(pixels, corner + 1, axis=0)
        + down * (1 - right) * ops.take(pixels, corner + columns + 3, axis=0)
        + down * right * ops.take(pixels, corner + columns + 4, axis=0)
    )
