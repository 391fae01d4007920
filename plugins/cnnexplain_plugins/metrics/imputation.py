"""Noisy linear imputation: removed pixels become weighted means of their neighbors (Rong et al. 2022, section 4.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cnnexplain.errors import CnnExplainError
from cnnexplain_plugins.metrics.multigrid import Grid, filled

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Float32

TOLERANCE, MOST = 1e-4, 50
"""The estimated error at which the solver stops, relative to the range of the image, and its maximum number of steps.

It takes fewer than ten steps for all shapes of images and of removed regions that were tried.
"""

BLOCK = 100_000
"""The number of values that are solved together: arrays of this size stay in the cache of a processor."""


def imputed(
    image: Float[np.ndarray, "H W C"], removed: Bool[np.ndarray, "n H W"], noise: Float[np.ndarray, "H W C"]
) -> Float32[np.ndarray, "n H W C"]:
    """Copies of an image in which removed pixels are weighted means of their neighbors, plus noise.

    In each channel, a removed pixel u satisfies u · Σ_j w_j = Σ_j w_j u_j over its neighbors within the image, removed or
    not, with w = 1/6 for the four next to it and 1/12 for the four diagonal ones.

    Args:
        image: The image.
        removed: The removed pixels of each copy, not all of them.
        noise: The noise that is added to removed pixels.

    Raises:
        CnnExplainError: The solver did not converge.
    """
    height, width, channels = image.shape
    # Means of large numbers would be rounded more than their differences.
    lowest = image.min()
    values = (image - lowest).astype(np.float32)
    limit = TOLERANCE * float(np.ptp(values))
    planes = np.empty((height, width, len(removed), channels), np.float32)
    step = min(max(1, BLOCK // (height * width)), len(removed))
    grid = Grid((height, width, step))
    for channel in range(channels):
        for first in range(0, len(removed), step):
            part = removed[first : first + step]
            # The copies are the last axis, so that all operations have long rows of numbers; the last block may lack some.
            grid.set(np.moveaxis(part, 0, -1))
            planes[:, :, first : first + step, channel] = _solved(grid, values[..., channel], limit)[..., : len(part)]
    return np.where(removed[..., None], np.moveaxis(planes, 2, 0) + (lowest + noise), image).astype(np.float32)


def _solved(grid: Grid, image: Float32[np.ndarray, "H W"], limit: float) -> Float32[np.ndarray, "H W K"]:
    """Copies of an image with the solution for the unknown pixels, by conjugate gradients preconditioned with a V-cycle.

    It stops when the preconditioned residual, an estimate of the error, is at most `limit` everywhere.

    Raises:
        CnnExplainError: It is larger after `MOST` steps.
    """
    known = 1 - grid.unknown
    solution = filled(image[..., None] * known, known)
    # The residual of the system includes the known neighbors.
    residual = grid.product(solution, np.empty_like(solution))
    np.negative(residual, out=residual)
    direction, applied, scratch = (np.empty_like(solution) for _ in range(3))
    error = grid.error(residual)
    np.copyto(direction, error)
    size = _dot(residual, error, scratch)
    for _ in range(MOST):
        if max(error.max(), -error.min()) <= limit:
            return solution
        grid.product(direction, applied)
        step = _ratio(size, _dot(direction, applied, scratch))
        solution += np.multiply(direction, step, out=scratch)
        residual -= np.multiply(applied, step, out=scratch)
        error = grid.error(residual)
        previous, size = size, _dot(residual, error, scratch)
        direction *= _ratio(size, previous)
        direction += error
    raise CnnExplainError(f"Removed pixels could not be imputed: the equations were not solved in {MOST} steps.")


def _dot(
    first: Float32[np.ndarray, "H W K"], second: Float32[np.ndarray, "H W K"], scratch: Float32[np.ndarray, "H W K"]
) -> Float32[np.ndarray, " K"]:
    np.multiply(first, second, out=scratch)
    return np.asarray(scratch.sum(axis=(0, 1)))


def _ratio(top: Float32[np.ndarray, " K"], bottom: Float32[np.ndarray, " K"]) -> Float32[np.ndarray, " K"]:
    """The quotients; 0 for an image that is solved."""
    found = np.zeros_like(top)
    np.divide(top, bottom, out=found, where=bottom > 0)
    return found
