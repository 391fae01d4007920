"""The tests with random weights of Hedström et al. 2023 (arXiv:2401.06465): sMPRT and eMPRT.

The Model Parameter Randomisation Test of Adebayo et al. 2018 (arXiv:1810.03292) compares the maps of a network and of copies
with random weights. sMPRT repairs two of its flaws: it goes from the bottom up, since a network whose first layers are
intact preserves much of the signal, and compares means over noisy copies of the image. eMPRT needs no similarity: it
measures whether the map becomes more complex when all weights are random.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from cnnexplain.checks.numbers import within_range
from cnnexplain.checks.shuffling import shuffled_network
from cnnexplain.model.classifier import Classifier

if TYPE_CHECKING:
    from jaxtyping import Float, Float32

Maps: TypeAlias = "Callable[[Float32[np.ndarray, 'N H W C'], Classifier], Float[np.ndarray, 'N H W']]"
"""Explains images with a classifier: (images, classifier) ↦ their maps."""

DEPTHS = (0.25, 0.5, 0.75, 1.0)
"""The shares of the layers that are shuffled, from the pixels up."""

SAMPLES, NOISE = 10, 0.1
"""The number of noisy copies of the image, and the standard deviation of their noise as a share of the input range."""

BINS = 100
"""The number of bins of the histogram of a map whose entropy is its complexity."""


def smprt(
    maps: Maps,
    classifier: Classifier,
    image: Float32[np.ndarray, "1 H W C"],
    random: np.random.Generator,
    *,
    depths: Sequence[float] = DEPTHS,
    samples: int = SAMPLES,
    noise: float = NOISE,
    seed: int = 0,
) -> list[float]:
    """The rank correlations of a map with the maps of networks with shuffled weights, for each share of shuffled layers.

    Each map is the mean over noisy copies of the image, the same copies for all networks; with one sample, it is that of the
    image itself, as in the original test.

    Args:
        maps: Explains images, all for the same class.
        classifier: The network.
        image: (1, H, W, C) in the model's input range.
        random: Draws the noise.
        depths: The shares of the layers, from the pixels up.
        samples: The number of noisy copies.
        noise: The standard deviation of the noise, as a share of the input range.
        seed: Seed of the permutations of the weights.

    Raises:
        ModelError: Keras can't copy the model.
    """
    copies = np.repeat(image, samples, axis=0)
    if samples > 1:
        span = classifier.preprocess.white - classifier.preprocess.black
        copies = within_range(copies + noise * span * random.normal(size=copies.shape), image, classifier.preprocess)
    own = maps(copies, classifier).mean(axis=0)
    return [rank_correlation(own, maps(copies, shuffled_network(classifier, depth, seed)).mean(axis=0)) for depth in depths]


def emprt(own: Float[np.ndarray, "H W"], random: Float[np.ndarray, "H W"]) -> float:
    """The relative rise of the complexity from a network's map to that of a network with random weights.

    Args:
        own: The map of the network.
        random: The map of a copy of it, all of whose weights are random.
    """
    before, after = entropy(own), entropy(random)
    return (after - before) / before if before else (0.0 if after == 0 else float("inf"))


def entropy(values: Float[np.ndarray, "H W"]) -> float:
    """The entropy of the histogram of a map's values with `BINS` bins, in nats."""
    counts, _ = np.histogram(values, BINS)
    shares = counts[counts > 0] / values.size
    return float((shares * np.log(1 / shares)).sum())


def rank_correlation(first: Float[np.ndarray, "*shape"], second: Float[np.ndarray, "*shape"]) -> float:
    """Spearman's rank correlation of two maps, with mean ranks for ties: 0 if one is constant, 1 if both are."""
    ranks = []
    for values in (first, second):
        _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
        ranks.append((np.cumsum(counts) - (counts + 1) / 2)[places.ravel()] - (values.size - 1) / 2)
    sizes = [np.sqrt((each**2).sum()) for each in ranks]
    if not all(sizes):
        return float(not any(sizes))
    return float(ranks[0] @ ranks[1] / (sizes[0] * sizes[1]))
