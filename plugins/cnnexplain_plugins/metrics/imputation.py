"""Noisy linear imputation: removed pixels become weighted means of their neighbors (Rong et al. 2022, section 4.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Float32

TOLERANCE, MOST = 2e-6, 2000
"""The residual at which the solver stops, relative to the largest value of the image, and its maximum number of steps."""


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
    """
    channels = image.shape[-1]
    values = np.moveaxis(image, -1, 0).astype(np.float32)
    copies = np.broadcast_to(values, (len(removed), *values.shape)).reshape(-1, *values.shape[1:])
    unknown = np.repeat(removed, channels, axis=0)
    solved = _solve(_filled(copies, ~unknown), unknown)
    pictures = np.moveaxis(solved.reshape(len(removed), channels, *values.shape[1:]), 1, -1)
    return np.asarray(pictures + removed[..., None] * noise, np.float32)


def _solve(start: Float32[np.ndarray, "b H W"], unknown: Bool[np.ndarray, "b H W"]) -> Float32[np.ndarray, "b H W"]:
    """The solution for the unknown pixels by conjugate gradients; `start` has the values of the known ones."""
    weights = _neighbors(np.ones_like(start[:1]))
    mask = unknown.astype(np.float32)

    def product(values: Float32[np.ndarray, "b H W"]) -> Float32[np.ndarray, "b H W"]:
        return np.asarray(mask * (weights * values - _neighbors(values)))

    def squares(values: Float32[np.ndarray, "b H W"]) -> Float32[np.ndarray, "b 1 1"]:
        return np.asarray(np.einsum("bij,bij->b", values, values)[:, None, None])

    # The residual of the system includes the known neighbors.
    solution, residual = start.copy(), -product(start)
    direction, size = residual.copy(), squares(residual)
    limit = (TOLERANCE * np.abs(start).max()) ** 2 * mask.sum(axis=(1, 2), keepdims=True)
    for _ in range(MOST):
        # Further steps for an image that is solved would only amplify rounding errors.
        unsolved = size > limit
        if not unsolved.any():
            break
        applied = product(direction)
        curvature = np.einsum("bij,bij->b", direction, applied)[:, None, None]
        step = np.divide(size, curvature, out=np.zeros_like(size), where=unsolved & (curvature > 0))
        solution += step * direction
        residual -= step * applied
        previous, size = size, squares(residual)
        direction = residual + np.divide(size, previous, out=np.zeros_like(size), where=unsolved) * direction
    return solution


def _neighbors(values: Float32[np.ndarray, "b H W"]) -> Float32[np.ndarray, "b H W"]:
    """The weighted sum of the eight neighbors of each pixel, with zeros around the image."""
    # The weights (1, 2, 1) along both axes, over 12, are those of the neighbors, and 1/3 at the center.
    down = 2 * values
    down[:, 1:] += values[:, :-1]
    down[:, :-1] += values[:, 1:]
    both = 2 * down
    both[:, :, 1:] += down[:, :, :-1]
    both[:, :, :-1] += down[:, :, 1:]
    return np.asarray(both / 12 - values / 3, np.float32)


def _filled(values: Float32[np.ndarray, "b H W"], known: Bool[np.ndarray, "b H W"]) -> Float32[np.ndarray, "b H W"]:
    """The images with rough values for the unknown pixels: means of the known ones in the smallest block that has any."""
    if known.all() or min(values.shape[1:]) == 1 == max(values.shape[1:]):
        return np.where(known, values, 0)
    height, width = values.shape[1:]
    padding = ((0, 0), (0, height % 2), (0, width % 2))
    blocks = [np.pad(each, padding) for each in (np.where(known, values, 0), known.astype(np.float32))]
    sums, counts = (
        each.reshape(len(each), each.shape[1] // 2, 2, each.shape[2] // 2, 2).sum(axis=(2, 4)) for each in blocks
    )
    means = np.divide(sums, counts, out=np.zeros_like(sums), where=counts > 0)
    coarse = _filled(means, counts > 0)
    fine = coarse.repeat(2, axis=1).repeat(2, axis=2)[:, :height, :width]
    return np.where(known, values, fine)
