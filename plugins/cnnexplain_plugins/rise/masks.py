"""The random masks of RISE (Petsiuk et al. 2018, section 3.2): a coarse grid, enlarged and shifted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from keras import ops

from cnnexplain.errors import UsageError
from cnnexplain.numerics import bilinear

if TYPE_CHECKING:
    from jaxtyping import Bool, Int64

MAX_CELLS, MIN_CELLS, MIN_SIDE = 7, 3, 6
"""The default number of cells along a side: that of the paper, the minimum for small images, and the minimum side of a cell
in pixels."""


@dataclass(frozen=True)
class Masks:
    """Random masks, stored as the grids and shifts that `visible` computes them from.

    Args:
        grids: The cells that are visible, for each of n masks.
        shifts: The first row and column of the enlarged grid that belong to the mask.
    """

    grids: Bool[np.ndarray, "n rows columns"]
    shifts: Int64[np.ndarray, "n 2"]


def visible(grids: Any, shifts: Any, height: int, width: int) -> Any:
    """The masks (…, height, width), from 0 (hidden) to 1 (visible), for grids (…, rows, columns), in `keras.ops`."""
    weights = []
    for axis, (side, number) in enumerate(((height, grids.shape[-2]), (width, grids.shape[-1]))):
        enlarged = bilinear(number, (number + 1) * cell_side(side, number)).astype(np.float32)
        pixels = ops.cast(shifts[..., axis, None], "int32") + ops.arange(side, dtype="int32")
        weights.append(ops.take(enlarged, pixels, axis=0))
    down, across = weights
    return ops.matmul(ops.matmul(down, grids), ops.swapaxes(across, -1, -2))


def cell_side(side: int, number: int) -> int:
    """The pixels along a side of a cell, for a number of cells along a side of the image."""
    # Rounded up, as in the authors' program. Rounded down, as in the paper, the enlarged grid may not cover a shifted image.
    return -(-side // number)


def random_masks(height: int, width: int, count: int, cells: int | None, keep: float, seed: int) -> Masks:
    """Draws random masks.

    Args:
        height: The height of the images.
        width: The width of the images.
        count: The number of masks.
        cells: The number of cells along the shorter side; None for 7, or down to 3 for small images. There are as many cells
            of the same size along the longer side as fit.
        keep: The probability that a cell is visible.
        seed: Seed of the random numbers.

    Raises:
        UsageError: There are more cells than pixels.
    """
    shorter = min(height, width)
    if cells is None:
        cells = min(shorter, MAX_CELLS, max(MIN_CELLS, shorter // MIN_SIDE))
    if cells > shorter:
        raise UsageError(f"--cells {cells} is too many for images of {height}×{width} pixels; use at most {shorter}.")
    grid = [max(1, round(cells * side / shorter)) for side in (height, width)]
    random = np.random.default_rng(seed)
    grids = random.random((count, *grid)) < keep
    return Masks(grids, random.integers(0, list(map(cell_side, (height, width), grid)), (count, 2)))
