"""The positions of a square that slides over an image, and which pixels it covers there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cnnexplain.errors import UsageError

if TYPE_CHECKING:
    from cnnexplain import Array, Floats, Integers


@dataclass(frozen=True)
class Squares:
    """Every position of a square on an image of H×W pixels, counted row by row.

    Args:
        patch: The side of the square in pixels.
        stride: Pixels from one position to the next, but for the last one, which touches the end of the image.
        tops: (rows,), the first row of pixels of each row of positions.
        lefts: (columns,), the first column of pixels of each column of positions.
        down: (rows, H), whether a row of positions covers a row of pixels.
        across: (columns, W), whether a column of positions covers a column of pixels.
    """

    patch: int
    stride: int
    tops: Integers
    lefts: Integers
    down: Array
    across: Array

    @property
    def count(self) -> int:
        """How many positions there are."""
        return len(self.tops) * len(self.lefts)

    def cover(self, numbers: Integers) -> Array:
        """Which pixels the square covers at the positions of these numbers, (len(numbers), H, W)."""
        rows, columns = np.divmod(numbers, len(self.lefts))
        return self.down[rows][:, :, None] & self.across[columns][:, None, :]

    def mean(self, grids: Floats) -> Floats:
        """For every pixel the mean over the squares that cover it: (N, rows, columns) ↦ (N, H, W).

        A square covers a pixel when it covers its row and its column, so that the mean goes along one axis after the other.
        """
        down, across = (covers / covers.sum(axis=0) for covers in (self.down, self.across))
        return np.asarray(down.T @ grids.astype(np.float64) @ across)


def slide(height: int, width: int, patch: int | None, stride: int | None, part: int = 7) -> Squares:
    """The positions at the multiples of the stride, and those that touch the end of the image, on an image of that size.

    Args:
        height: Of the image.
        width: Of the image.
        patch: The side of the square; None for a quarter of the image's shorter side.
        stride: From one position to the next; None for a part of the square's side.
        part: Which, such as 7 for a seventh.

    Raises:
        UsageError: The square is larger than the image, or the stride larger than the square.
    """
    shorter = min(height, width)
    patch = max(1, round(shorter / 4)) if patch is None else patch
    stride = max(1, round(patch / part)) if stride is None else stride
    if patch > shorter:
        raise UsageError(f"--patch {patch} is larger than the images of {height}×{width} pixels; give at most {shorter}.")
    if stride > patch:
        raise UsageError(
            f"--stride {stride} would leave pixels between squares of {patch}×{patch} uncovered; "
            f"give a stride of at most {patch}, or a larger --patch."
        )
    tops, lefts = (np.array([*range(0, side - patch, stride), side - patch]) for side in (height, width))
    down, across = (
        (starts[:, None] <= np.arange(side)) & (np.arange(side) < starts[:, None] + patch)
        for starts, side in ((tops, height), (lefts, width))
    )
    return Squares(patch, stride, tops, lefts, down, across)
