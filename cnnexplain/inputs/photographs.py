"""Tells a photograph from a picture of a digit, so that one given to a model of digits by mistake is noticed."""

from __future__ import annotations

import numpy as np
from PIL import Image

from cnnexplain.types import Floats

LEAST = 64
"""Rows and columns that a photograph has at least."""

SIDE = 64
"""The picture is looked at in that many rows and columns: paper's grain and a camera's noise are averaged away."""

SEPARATION = 0.78
"""Below it the tones are not those of ink and paper. Photographs have 0.48 to 0.68, photographed digits 0.88 and more."""


def is_photograph(picture: Floats) -> bool:
    """Whether a picture shows many tones where ink on paper has two.

    The criterion is the separability of the tones by one threshold, Otsu 1979 (doi:10.1109/TSMC.1979.4310076, equation 12):
    the variance between the two groups over the whole variance. A smooth change of light over the picture is removed first.

    Args:
        picture: (h, w, 1 or 3), from 0 to 1.
    """
    if min(picture.shape[:2]) < LEAST:
        return False
    gray = Image.fromarray(np.ascontiguousarray(picture.mean(axis=-1, dtype=np.float32)))
    tones = np.asarray(gray.resize((SIDE, SIDE), Image.Resampling.BOX), np.float64)
    return separability(tones - _light(tones)) < SEPARATION


def separability(values: Floats) -> float:
    """The largest share of the variance that lies between two groups split by a threshold, 0 to 1; 1 where all are equal."""
    ordered = np.sort(values, axis=None)
    variance = ordered.var()
    if variance < 1e-12:
        return 1.0
    below = np.arange(1, ordered.size)
    sums = ordered.cumsum()
    means = sums[:-1] / below, (sums[-1] - sums[:-1]) / (ordered.size - below)
    share = below / ordered.size
    return float((share * (1 - share) * (means[0] - means[1]) ** 2).max() / variance)


def _light(tones: Floats) -> Floats:
    """A plane through the tones of most pixels, of the ground if there is one."""
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    terms = np.stack([np.ones_like(x), x, y], axis=-1).reshape(-1, 3)
    values, kept = tones.ravel(), np.ones(tones.size, bool)
    for _ in range(4):
        plane = terms @ np.linalg.lstsq(terms[kept], values[kept])[0]
        distance = np.abs(values - plane - np.median(values - plane))
        kept = distance <= np.percentile(distance, 70)
    return np.asarray(plane.reshape(tones.shape))
