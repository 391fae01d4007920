"""Coarse maps → as many values as an image has pixels."""

import numpy as np

from cnnexplain.arrays import Floats


def bilinear(places: int, pixels: int) -> Floats:
    """The matrix (pixels, places) that interpolates linearly along one axis; its rows add up to 1.

    The centres of places and pixels are at half numbers, so that both span the same length; beyond the outermost centres the
    outermost values go on. For a map, `bilinear(h, H) @ map @ bilinear(w, W).T`.
    """
    centres = np.clip((np.arange(pixels) + 0.5) * places / pixels - 0.5, 0, places - 1)
    return np.asarray(np.maximum(0, 1 - np.abs(centres[:, None] - np.arange(places))))
