"""Infidelity: how far sums of a map over random squares are from the fall of the output when the squares are removed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from cnnexplain.plugin import Metric
from cnnexplain_plugins.metrics import removal

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Bool, Float, Float32, Float64

    from cnnexplain import Classifier

SQUARES, LARGEST = 128, 10 / 28
"""The number of random squares, and the largest side relative to the shorter side of the image."""


def run(
    maps: Float[np.ndarray, "M H W"],
    image: Float32[np.ndarray, "H W C"],
    classifier: Classifier,
    evaluate: Callable[..., Mapping[str, Float[np.ndarray, " K"]]],
    random: np.random.Generator,
) -> dict[str, Float64[np.ndarray, " M"]]:
    """The mean squared difference of a map's sum over a square and the fall of the logit when the square becomes black.

    Yeh et al. 2019, definition 2.1, with the removal of squares: E[(Σ_{p ∈ I} φ_p − (f(x) − f(x without I)))²]. "scaled" is
    the least value for any multiple β ≥ 0 of the map, relative to E[(f(x) − f(x without I))²]: from 0, if both are
    proportional, to 1, if no positive multiple fits better than zero. "unscaled" is the value for the map itself.
    """
    import numpy as np

    regions = squares(maps.shape[1], maps.shape[2], random)
    black = np.broadcast_to(classifier.preprocess.black, image.shape)
    falls = removal.drops(regions, image, black, evaluate)["logit"]
    sums = removal.region_sums(maps, regions)
    total = (falls**2).mean()
    unscaled = ((sums - falls) ** 2).mean(axis=1)
    # Relative to the largest value, so that the squares of huge and of tiny values can be represented.
    peaks = np.abs(maps).max(axis=(1, 2))[:, None]
    sums = np.divide(sums, peaks, out=np.zeros_like(sums), where=peaks > 0)
    own, shared = (sums**2).mean(axis=1), np.maximum((sums * falls).mean(axis=1), 0)
    explained = np.divide(shared**2, own, out=np.zeros_like(own), where=own > 0)
    scaled = 1 - explained / total if total else np.full(len(maps), np.nan)
    return {"scaled": scaled, "unscaled": unscaled}


def squares(height: int, width: int, random: np.random.Generator) -> Bool[np.ndarray, "S {height} {width}"]:
    """Squares with random sides at random places within the image."""
    import numpy as np

    sides = random.integers(1, max(1, round(LARGEST * min(height, width))), SQUARES, endpoint=True)
    tops, lefts = (random.integers(0, side - sides, endpoint=True) for side in (height, width))
    rows, columns = np.arange(height), np.arange(width)
    inside = [(of >= first[:, None]) & (of < (first + sides)[:, None]) for of, first in ((rows, tops), (columns, lefts))]
    return np.asarray(inside[0][:, :, None] & inside[1][:, None, :])


METRIC = Metric(
    "infidelity",
    run,
    "Yeh, Hsieh, Suggala, Inouye, Ravikumar 2019 (arXiv:1901.09392)",
    scores={"scaled": "lower", "unscaled": "lower"},
    protocol=f"{SQUARES} random squares with sides of 1 pixel to {LARGEST:.0%} of the shorter side, the same for all "
    "methods, replaced by black; scaled by the best factor of at least 0.",
    limitations="A map that is zero wherever the image is black fits the removal of black squares for any network; "
    "unscaled values are meaningful only for maps in units of the logit.",
)
