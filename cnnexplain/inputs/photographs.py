"""Distinguishes photographs from images of digits, to warn about a photograph given to a digit classifier."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from jaxtyping import Float, Real

MIN_SIDE = 64
"""The minimum number of rows and columns of a photograph."""

SIDE = 64
"""Images are first reduced to this many rows and columns, which removes the paper's grain and the camera's noise."""

SEPARATION = 0.78
"""The separability of ink and paper is higher: photographs have 0.48 to 0.68, photographed digits 0.88 or more."""


def is_photograph(image: Float[np.ndarray, "h w C"]) -> bool:
    """Whether an image has many tones, unlike ink on paper with two.

    The criterion is the separability of the tones by one threshold, Otsu 1979 (doi:10.1109/TSMC.1979.4310076, equation 12):
    the variance between the two groups divided by the total variance. A linear change of illumination is removed first.

    Args:
        image: (h, w, C), from 0 to 1.
    """
    if min(image.shape[:2]) < MIN_SIDE:
        return False
    gray = Image.fromarray(np.ascontiguousarray(image.mean(axis=-1, dtype=np.float32)))
    tones = np.asarray(gray.resize((SIDE, SIDE), Image.Resampling.BOX), np.float64)
    return separability(tones - _illumination(tones)) < SEPARATION


def separability(values: Real[np.ndarray, "*shape"]) -> float:
    """The largest share of the variance that lies between two groups split by a threshold; 1 if all values are equal."""
    ordered = np.sort(values, axis=None)
    variance = ordered.var()
    if variance < 1e-12:
        return 1.0
    below = np.arange(1, ordered.size)
    sums = ordered.cumsum()
    means = sums[:-1] / below, (sums[-1] - sums[:-1]) / (ordered.size - below)
    share = below / ordered.size
    return float((share * (1 - share) * (means[0] - means[1]) ** 2).max() / variance)


def _illumination(tones: Float[np.ndarray, "side side"]) -> Float[np.ndarray, "side side"]:
    """A plane fitted to the tones of most pixels, which are those of the background if there is one."""
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    terms = np.stack([np.ones_like(x), x, y], axis=-1).reshape(-1, 3)
    values, kept = tones.ravel(), np.ones(tones.size, bool)
    for _ in range(4):
        plane = terms @ np.linalg.lstsq(terms[kept], values[kept])[0]
        distance = np.abs(values - plane - np.median(values - plane))
        kept = distance <= np.percentile(distance, 70)
    return np.asarray(plane.reshape(tones.shape))
