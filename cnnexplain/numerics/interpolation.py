"""Interpolation of coarse maps to the pixels of an image, and averages of fine maps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float32, Float64, Shaped


def bilinear(places: int, pixels: int) -> Float64[np.ndarray, "{pixels} {places}"]:
    """The matrix (pixels, places) that interpolates linearly along one axis; its rows sum to 1.

    The centers of places and pixels are at half-integers, so that both span the same length; beyond the outermost centers,
    the values are constant. For a map, `bilinear(h, H) @ map @ bilinear(w, W).T`.
    """
    centers = np.clip((np.arange(pixels) + 0.5) * places / pixels - 0.5, 0, places - 1)
    return np.asarray(np.maximum(0, 1 - np.abs(centers[:, None] - np.arange(places))))


def averaged(maps: Shaped[np.ndarray, "K h w"], block: int) -> Float32[np.ndarray, "K rows columns"]:
    """Maps averaged over blocks of `block` rows and columns; the last blocks may be smaller."""
    starts = [np.arange(0, side, block) for side in maps.shape[1:]]
    sums = np.add.reduceat(np.add.reduceat(maps, starts[0], axis=1), starts[1], axis=2)
    rows, columns = (np.diff([*start, side]) for start, side in zip(starts, maps.shape[1:], strict=True))
    return np.asarray(sums / (rows[:, None] * columns), np.float32)


def bicubic(places: int, pixels: int) -> Float64[np.ndarray, "{pixels} {places}"]:
    """The matrix (pixels, places) of cubic convolution along one axis (Keys 1981, a = −1/2); its rows sum to 1.

    The centers are as in `bilinear`; beyond the ends, the values are constant.
    """
    centers = (np.arange(pixels) + 0.5) * places / pixels - 0.5
    # Two more places at either end represent the constant values.
    distance = np.abs(centers[:, None] - np.arange(-2, places + 2))
    near = 1.5 * distance**3 - 2.5 * distance**2 + 1
    far = -0.5 * distance**3 + 2.5 * distance**2 - 4 * distance + 2
    weights = np.where(distance <= 1, near, np.where(distance < 2, far, 0))
    inner = weights[:, 2:-2].copy()
    inner[:, 0] += weights[:, :2].sum(axis=1)
    inner[:, -1] += weights[:, -2:].sum(axis=1)
    return np.asarray(inner)
