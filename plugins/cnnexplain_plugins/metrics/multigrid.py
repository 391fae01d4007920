"""A multigrid method for unknown pixels that are weighted means of their neighbors.

With S the filter (1, 2, 1) along both axes, whose weights are 12 times those of the neighbors, the system is
S(1) u − S(u) = 0 at each unknown pixel: the weight of the pixel itself cancels. Coarser grids have the same system, because
that of a Laplacian does not depend on the distance of the points in two dimensions. In one dimension, it halves with each
coarser grid.

Arrays are reused, since memory that is new to the process takes more time than the arithmetic.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Float32

COARSEST = 4
"""A grid whose sides are at most this long has no coarser grid."""

DAMPING = 2 / 3
"""The length of Jacobi's steps on a line: full steps would keep errors that alternate from pixel to pixel."""


class Grid:
    """The systems of K images with different unknown pixels, and their approximate solution.

    Args:
        shape: (H, W, K).
    """

    def __init__(self, shape: tuple[int, int, int]) -> None:
        height, width, count = shape
        self.unknown, self._sums, self._inverse, self._found, self._rest, self._rows, self._both = np.empty(
            (7, *shape), np.float32
        )
        self._filtered(np.ones(shape, np.float32))
        np.copyto(self._sums, self._both)
        self._line = min(height, width) == 1
        self._coarser = None if max(height, width) <= COARSEST else Grid(((height + 1) // 2, (width + 1) // 2, count))

    def set(self, unknown: Bool[np.ndarray, "H W k"] | Float32[np.ndarray, "H W k"]) -> None:
        """Sets the unknown pixels of the first k images; the others have none."""
        self.unknown[..., unknown.shape[2] :] = 0
        self.unknown[..., : unknown.shape[2]] = unknown
        # The only pixel of an image has no neighbors, so that its weight would be 0.
        np.divide(self.unknown, np.maximum(self._sums - 4, 1), out=self._inverse)
        if self._line:
            self._inverse *= DAMPING
        if self._coarser is not None:
            # A coarse pixel is unknown if all of its pixels are, so that a correction reaches no known pixel.
            finer = _even(self.unknown, 1)
            rows = np.minimum(finer[::2], finer[1::2])
            self._coarser.set(np.minimum(rows[:, ::2], rows[:, 1::2]))

    def product(
        self, values: Float32[np.ndarray, "H W K"], out: Float32[np.ndarray, "H W K"]
    ) -> Float32[np.ndarray, "H W K"]:
        """The left side of the system at unknown pixels, 0 at known ones."""
        self._filtered(values)
        np.multiply(self._sums, values, out=out)
        out -= self._both
        out *= self.unknown
        return out

    def error(self, residual: Float32[np.ndarray, "H W K"]) -> Float32[np.ndarray, "H W K"]:
        """The approximate correction of the solution for a residual: a V-cycle with a step of Jacobi before and after.

        It is linear, symmetric and positive definite, as conjugate gradients require. The next call overwrites the array.
        """
        found, rest = self._found, self._rest
        np.multiply(self._inverse, residual, out=found)
        if self._coarser is not None:
            np.subtract(residual, self.product(found, rest), out=rest)
            coarse = restricted(rest)
            coarse *= self._coarser.unknown
            if self._line:
                coarse *= 2
            correction = interpolated(self._coarser.error(coarse), found.shape)
            found += np.multiply(correction, self.unknown, out=rest)
        np.subtract(residual, self.product(found, rest), out=rest)
        rest *= self._inverse
        found += rest
        return found

    def _filtered(self, values: Float32[np.ndarray, "H W K"]) -> None:
        """Applies S, with zeros around the image; the result is in `_both`."""
        rows, both = self._rows, self._both
        np.add(values, values, out=rows)
        rows[1:] += values[:-1]
        rows[:-1] += values[1:]
        np.add(rows, rows, out=both)
        both[:, 1:] += rows[:, :-1]
        both[:, :-1] += rows[:, 1:]


def filled(values: Float32[np.ndarray, "H W K"], known: Float32[np.ndarray, "H W K"]) -> Float32[np.ndarray, "H W K"]:
    """Images with rough values for the unknown pixels: means of the known ones in the smallest block that has any.

    Args:
        values: The images, 0 where they are not known.
        known: 1 for known pixels and 0 for unknown ones.
    """
    height, width = values.shape[:2]
    if known.all() or height == width == 1:
        return values
    sums, counts = _block_sums(_even(values, 0)), _block_sums(_even(known, 0))
    coarse = filled(sums / np.maximum(counts, 1), np.minimum(counts, 1))
    fine = coarse.repeat(2, axis=0)[:height].repeat(2, axis=1)[:, :width]
    fine *= 1 - known
    fine += values
    return np.asarray(fine)


def restricted(values: Float[np.ndarray, "H W K"]) -> Float[np.ndarray, "h w K"]:
    """The transpose of `interpolated`."""
    values = _even(values, 0)
    for axis in (0, 1):
        pairs = np.swapaxes(values, axis, 0)
        first, second = pairs[::2], pairs[1::2]
        found = first + second
        found *= 3
        found[1:] += second[:-1]
        found[:-1] += first[1:]
        # Pixels beyond the border have the values at the border.
        found[0] += first[0]
        found[-1] += second[-1]
        found *= 0.25
        values = np.swapaxes(found, 0, axis)
    return values


def interpolated(values: Float[np.ndarray, "h w K"], shape: tuple[int, ...]) -> Float[np.ndarray, "H W K"]:
    """Values at the centers of blocks of 2×2 pixels as values of the pixels, interpolated linearly."""
    for axis in (1, 0):
        fine = np.empty([2 * size if each == axis else size for each, size in enumerate(values.shape)], values.dtype)
        coarse, pairs = np.swapaxes(values, axis, 0), np.moveaxis(fine, axis, 0)
        quarter, most = 0.25 * coarse, 0.75 * coarse
        pairs[::2] = pairs[1::2] = most
        pairs[2::2] += quarter[:-1]
        pairs[1:-1:2] += quarter[1:]
        pairs[0] += quarter[0]
        pairs[-1] += quarter[-1]
        values = fine
    return values[: shape[0], : shape[1]]


def _even(values: Float[np.ndarray, "H W K"], fill: float) -> Float[np.ndarray, "h w K"]:
    """The values with another row and column of `fill` where the number of rows or columns is odd."""
    height, width = values.shape[:2]
    if height % 2 == width % 2 == 0:
        return values
    return np.pad(values, ((0, height % 2), (0, width % 2), (0, 0)), constant_values=fill)


def _block_sums(values: Float32[np.ndarray, "H W K"]) -> Float32[np.ndarray, "h w K"]:
    """The sums of blocks of 2×2 pixels."""
    rows = values[::2] + values[1::2]
    return np.asarray(rows[:, ::2] + rows[:, 1::2])
