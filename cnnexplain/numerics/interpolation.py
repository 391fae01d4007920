"""Coarse maps → as many values as an image has pixels, and fine ones → fewer."""

import numpy as np

from cnnexplain.types import Array, Floats


def bilinear(places: int, pixels: int) -> Floats:
    """The matrix (pixels, places) that interpolates linearly along one axis; its rows add up to 1.

    The centers of places and pixels are at half numbers, so that both span the same length; beyond the outermost centers the
    outermost values go on. For a map, `bilinear(h, H) @ map @ bilinear(w, W).T`.
    """
    centers = np.clip((np.arange(pixels) + 0.5) * places / pixels - 0.5, 0, places - 1)
    return np.asarray(np.maximum(0, 1 - np.abs(centers[:, None] - np.arange(places))))


def averaged(maps: Array, block: int) -> Floats:
    """The maps (K, h, w) averaged over blocks of so many rows and columns; those at the far border may be smaller."""
    starts = [np.arange(0, side, block) for side in maps.shape[1:]]
    sums = np.add.reduceat(np.add.reduceat(maps, starts[0], axis=1), starts[1], axis=2)
    rows, columns = (np.diff([*start, side]) for start, side in zip(starts, maps.shape[1:], strict=True))
    return np.asarray(sums / (rows[:, None] * columns), np.float32)


def bicubic(places: int, pixels: int) -> Floats:
    """The matrix (pixels, places) of cubic convolution along one axis (Keys 1981, a = −1/2); its rows add up to 1.

    Centers are as in `bilinear`; beyond the ends the outermost values go on.
    """
    centers = (np.arange(pixels) + 0.5) * places / pixels - 0.5
    # Two places more at either end stand for what goes on.
    distance = np.abs(centers[:, None] - np.arange(-2, places + 2))
    near = 1.5 * distance**3 - 2.5 * distance**2 + 1
    far = -0.5 * distance**3 + 2.5 * distance**2 - 4 * distance + 2
    weights = np.where(distance <= 1, near, np.where(distance < 2, far, 0))
    inner = weights[:, 2:-2].copy()
    inner[:, 0] += weights[:, :2].sum(axis=1)
    inner[:, -1] += weights[:, -2:].sum(axis=1)
    return np.asarray(inner)
