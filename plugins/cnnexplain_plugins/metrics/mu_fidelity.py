"""MuFidelity: whether sums of a map over random pixels go along with the fall of the output when they are removed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from cnnexplain.plugin import Metric
from cnnexplain_plugins.metrics import removal

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float, Float32, Float64

    from cnnexplain import Classifier

SUBSETS, SHARE = 128, 0.2
"""The number of random subsets, and the share of the pixels in each."""


def run(
    maps: Float[np.ndarray, "M H W"],
    image: Float32[np.ndarray, "H W C"],
    classifier: Classifier,
    evaluate: Callable[..., Mapping[str, Float[np.ndarray, " K"]]],
    random: np.random.Generator,
) -> dict[str, Float64[np.ndarray, " M"]]:
    """The correlation of the sum of a map over random pixels with the fall of the output when they become black.

    Bhatt et al. 2020, definition of μ_F: Pearson's correlation over subsets S of a fixed size between Σ_{p ∈ S} φ_p and
    f(x) − f(x with S replaced by the baseline). It is not defined for a constant map.
    """
    import numpy as np

    pixels = maps[0].size
    size = max(1, round(SHARE * pixels))
    order = np.argsort(random.random((SUBSETS, pixels)), axis=1)
    regions = (order < size).reshape(SUBSETS, *maps.shape[1:])
    black = np.broadcast_to(classifier.preprocess.black, image.shape)
    sums = removal.region_sums(maps, regions)
    falls = removal.drops(regions, image, black, evaluate)
    return {output: _correlations(sums, falls[output]) for output in METRIC.scores}


def _correlations(sums: Float64[np.ndarray, "M S"], falls: Float64[np.ndarray, " S"]) -> Float64[np.ndarray, " M"]:
    """Pearson's correlation of each row with the falls; NaN if either does not vary beyond rounding."""
    import numpy as np

    scale = np.abs(sums).max(axis=1, keepdims=True)
    sums = np.divide(sums, scale, out=np.zeros_like(sums), where=scale > 0)
    sums, falls = sums - sums.mean(axis=1, keepdims=True), falls - falls.mean()
    lengths = np.sqrt((sums**2).sum(axis=1)), np.sqrt((falls**2).sum())
    varied = (lengths[0] > 1e-9) & (lengths[1] > 0)
    ratios = np.divide(sums @ falls, lengths[0] * lengths[1], out=np.full(len(sums), np.nan), where=varied)
    return np.asarray(ratios)


METRIC = Metric(
    "mu-fidelity",
    run,
    "Bhatt, Weller, Moura 2020 (arXiv:2005.00631)",
    scores={"logit": "higher", "probability": "higher"},
    protocol=f"{SUBSETS} random subsets of {SHARE:.0%} of the pixels, the same for all methods, replaced by black.",
    limitations="Scattered black pixels are unlike any image that the network was trained on, and removing them favors "
    "methods with a black baseline; the correlation says nothing about the size of the values.",
)
