"""The random masks of RISE (Petsiuk et al. 2018, section 3.2): a coarse grid, enlarged and shifted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cnnexplain.errors import UsageError
from cnnexplain.numerics import bilinear

if TYPE_CHECKING:
    from cnnexplain import Array, Floats, Integers

MOST, LEAST, SMALLEST = 7, 3, 6
"""Where cells aren't said: the paper's number along a side, the number for the smallest images, and a cell's least side."""


@dataclass(frozen=True)
class Masks:
    """Masks of H×W pixels, kept as what they are made of.

    Args:
        grids: (n, rows, columns), which cells are shown.
        shifts: (n, 2), the first row and column of the enlarged grid that the mask takes.
        down: (U, rows), the weight of each row of cells in a row of the enlarged grid.
        across: (V, columns), the same for columns.
        size: Height and width.
    """

    grids: Array
    shifts: Integers
    down: Floats
    across: Floats
    size: tuple[int, int]

    def __len__(self) -> int:
        return len(self.grids)

    def __getitem__(self, here: slice) -> Floats:
        """Some of the masks, (n, H, W), from 0 (hidden) to 1 (shown)."""
        tops, lefts = (self.shifts[here, axis, None] + np.arange(side) for axis, side in enumerate(self.size))
        rows = self.down[tops] @ self.grids[here].astype(np.float32)
        return np.asarray(rows @ self.across[lefts].transpose(0, 2, 1))


def random_masks(height: int, width: int, count: int, cells: int | None, keep: float, seed: int) -> Masks:
    """Draws masks for images of that size.

    Args:
        height: Of the images.
        width: Of the images.
        count: How many masks.
        cells: Along the shorter side; None for 7, or down to 3 for small images. Along the longer side as many of that size.
        keep: The probability that a cell is shown.
        seed: Of the draws.

    Raises:
        UsageError: There are more cells than pixels.
    """
    shorter = min(height, width)
    if cells is None:
        cells = min(shorter, MOST, max(LEAST, shorter // SMALLEST))
    if cells > shorter:
        raise UsageError(f"--cells {cells} is more than images of {height}×{width} pixels have; give at most {shorter}.")
    grid = [max(1, round(cells * side / shorter)) for side in (height, width)]
    # As the authors' program does: rounded down, as the paper has it, the enlarged grid may not reach over a shifted image.
    sides = [-(-side // number) for side, number in zip((height, width), grid, strict=True)]
    random = np.random.default_rng(seed)
    grids = random.random((count, *grid)) < keep
    shifts = random.integers(0, sides, (count, 2))
    down, across = (
        bilinear(number, (number + 1) * side).astype(np.float32) for number, side in zip(grid, sides, strict=True)
    )
    return Masks(grids, shifts, down, across, (height, width))
