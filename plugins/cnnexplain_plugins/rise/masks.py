"""The random masks of RISE (Petsiuk et al. 2018, section 3.2): a coarse grid, enlarged and shifted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cnnexplain.errors import UsageError
from cnnexplain.numerics import bilinear

if TYPE_CHECKING:
    from jaxtyping import Bool, Float32, Int64

MAX_CELLS, MIN_CELLS, MIN_SIDE = 7, 3, 6
"""The default number of cells along a side: that of the paper, the minimum for small images, and the minimum side of a cell
in pixels."""


@dataclass(frozen=True)
class Masks:
    """Masks of H×W pixels, stored as the grids and shifts from which they are computed.

    Args:
        grids: The cells that are visible, for each of n masks.
        shifts: The first row and column of the enlarged grid that belong to the mask.
        down: The weight of each row of cells in a row of the enlarged grid.
        across: The weight of each column of cells in a column of the enlarged grid.
        size: Height and width.
    """

    grids: Bool[np.ndarray, "n rows columns"]
    shifts: Int64[np.ndarray, "n 2"]
    down: Float32[np.ndarray, "height rows"]
    across: Float32[np.ndarray, "width columns"]
    size: tuple[int, int]

    def __len__(self) -> int:
        return len(self.grids)

    def __getitem__(self, part: slice) -> Float32[np.ndarray, "n H W"]:
        """A part of the masks, from 0 (hidden) to 1 (visible)."""
        tops, lefts = (self.shifts[part, axis, None] + np.arange(side) for axis, side in enumerate(self.size))
        rows = self.down[tops] @ self.grids[part].astype(np.float32)
        return np.asarray(rows @ self.across[lefts].transpose(0, 2, 1))


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
    # Rounded up, as in the authors' program. Rounded down, as in the paper, the enlarged grid may not cover a shifted image.
    sides = [-(-side // number) for side, number in zip((height, width), grid, strict=True)]
    random = np.random.default_rng(seed)
    grids = random.random((count, *grid)) < keep
    shifts = random.integers(0, sides, (count, 2))
    down, across = (
        bilinear(number, (number + 1) * side).astype(np.float32) for number, side in zip(grid, sides, strict=True)
    )
    return Masks(grids, shifts, down, across, (height, width))
