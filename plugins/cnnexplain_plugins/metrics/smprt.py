"""sMPRT: how similar the map is to the one of a network with shuffled weights, as means over noisy copies of the image."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from cnnexplain.plugin import Metric

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float, Float32, Float64

    from cnnexplain import Classifier

SHARES = {"all layers": 1.0, "lower half": 0.5}
"""The share of the layers with shuffled weights, from the pixels up, by score."""

SAMPLES, NOISE = 10, 0.1
"""The number of noisy copies, and the standard deviation of their noise relative to the distance from black to white."""


def run(
    maps: Float[np.ndarray, "M H W"],
    image: Float32[np.ndarray, "H W C"],
    classifier: Classifier,
    explain: Callable[..., Float64[np.ndarray, "M n H W"]],
    random: np.random.Generator,
) -> dict[str, Float64[np.ndarray, " M"]]:
    """The magnitude of the rank correlation of a map and the map of a network with shuffled weights.

    Hedström et al. 2023, section 3.1: each map is the mean over the same noisy copies of the image, and layers are shuffled
    from the pixels up. The similarity is Spearman's rank correlation, as in the original test (Adebayo et al. 2018). It is
    not defined for a constant map, nor for maps from files.
    """
    import numpy as np

    from cnnexplain.checks import rank_correlation, shuffled_network

    preprocess = classifier.preprocess
    noise = NOISE * (preprocess.white - preprocess.black) * random.normal(size=(SAMPLES, *image.shape))
    # Within the input range, or the range of the image if that is wider.
    low, high = min(preprocess.low, float(image.min())), max(preprocess.high, float(image.max()))
    copies = np.clip(image + noise, low, high).astype(np.float32)
    own = explain(copies).mean(axis=1)
    usable = np.isfinite(own).all(axis=(1, 2)) & (np.ptp(own, axis=(1, 2)) > 0)
    found = {name: np.full(len(maps), np.nan) for name in SHARES}
    for name, share in SHARES.items():
        other = explain(copies, classifier=shuffled_network(classifier, share)).mean(axis=1)
        for number in np.flatnonzero(usable):
            found[name][number] = abs(rank_correlation(own[number], other[number]))
    return found


METRIC = Metric(
    "smprt",
    run,
    "Hedström, Weber, Lapuschkin, Höhne 2023 (arXiv:2401.06465)",
    scores=dict.fromkeys(SHARES, "lower"),
    protocol=f"Means over {SAMPLES} copies with Gaussian noise of {NOISE:.0%} of the distance from black to white, the same "
    "for all methods; one permutation of the weights for all images.",
    limitations="A low score shows only that the map depends on the weights, not that it is right: noise that differs "
    "between networks has the best score, 0.",
    default=False,
)
