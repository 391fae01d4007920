"""The positions of a square that slides over an image, and the pixels that it covers there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cnnexplain.errors import UsageError

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Float64, Int


@dataclass(frozen=True)
class Squares:
    """All positions of a square on an image of H×W pixels, numbered row by row.

    Args:
        patch: The side of the square in pixels.
        stride: Pixels from one position to the next, except for the last one, which touches the end of the image.
        tops: The first row of pixels of each row of positions.
        lefts: The first column of pixels of each column of positions.
        down: Whether a row of positions covers a row of pixels.
        across: Whether a column of positions covers a column of pixels.
    """

    patch: int
    stride: int
    tops: Int[np.ndarray, " rows"]
    lefts: Int[np.ndarray, " columns"]
    down: Bool[np.ndarray, "rows H"]
    across: Bool[np.ndarray, "columns W"]

    @property
    def count(self) -> int:
        """The number of positions."""
        return len(self.tops) * len(self.lefts)

    @property
    def boxes(self) -> Int[np.ndarray, "P 4"]:
        """For each position the first row and column that the square covers, and those after the last."""
        first = np.stack(np.meshgrid(self.tops, self.lefts, indexing="ij"), axis=-1).reshape(-1, 2)
        return np.concatenate([first, first + self.patch], axis=1)

    def cover(self, positions: Int[np.ndarray, " P"]) -> Bool[np.ndarray, "P H W"]:
        """The pixels that the square covers at the positions with these numbers."""
        rows, columns = np.divmod(positions, len(self.lefts))
        return np.asarray(self.down[rows][:, :, None] & self.across[columns][:, None, :])

    def mean(self, grids: Float[np.ndarray, "N rows columns"]) -> Float64[np.ndarray, "N H W"]:
        """The mean, for each pixel, over the squares that cover it.

        A square covers a pixel if it covers its row and its column, so the mean can be taken along one axis after the other.
        """
        down, across = (covers / covers.sum(axis=0) for covers in (self.down, self.across))
        return np.asarray(down.T @ grids.astype(np.float64) @ across)


def slide(height: int, width: int, patch: int | None, stride: int | None, part: int = 7) -> Squares:
    """The positions at the multiples of the stride, and those that touch the end of the image.

    Args:
        height: The height of the image.
        width: The width of the image.
        patch: The side of the square; None for a quarter of the image's shorter side.
        stride: The distance between positions; None for 1 / `part` of the square's side.
        part: See `stride`.

    Raises:
        UsageError: The square is larger than the image, or the stride larger than the square.
    """
    shorter = min(height, width)
    patch = max(1, round(shorter / 4)) if patch is None else patch
    stride = max(1, round(patch / part)) if stride is None else stride
    if patch > shorter:
        raise UsageError(f"--patch {patch} is larger than the images of {height}×{width} pixels; use at most {shorter}.")
    if stride > patch:
        raise UsageError(
            f"--stride {stride} would leave pixels between squares of {patch}×{patch} uncovered; "
            f"use a stride of at most {patch}, or a larger --patch."
        )
    tops, lefts = (np.array([*range(0, side - patch, stride), side - patch]) for side in (height, width))
    down, across = (
        (starts[:, None] <= np.arange(side)) & (np.arange(side) < starts[:, None] + patch)
        for starts, side in ((tops, height), (lefts, width))
    )
    return Squares(patch, stride, tops, lefts, down, across)
