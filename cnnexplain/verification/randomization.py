"""Does a map explain this network and this class? Tests with shuffled weights and with another class.

The Model Parameter Randomisation Test of Adebayo et al. 2018 (arXiv:1810.03292) compares the maps of a network and of copies
with random weights. Hedström et al. 2023 (arXiv:2401.06465) repair two of its flaws. sMPRT goes from the bottom up, since a
network whose first layers are intact preserves much of the signal, and compares means over noisy copies of the image. eMPRT
needs no similarity: it measures whether the map becomes more complex when all weights are random.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from cnnexplain.errors import CnnExplainError
from cnnexplain.model.classifier import Classifier
from cnnexplain.model.computation.objectives import Logit
from cnnexplain.plugin.check import Check, Measurement, Subject
from cnnexplain.verification.costs import affordable, too_expensive
from cnnexplain.verification.shuffling import shuffled
from cnnexplain.verification.stability import main_map, within_range

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

ALIKE, SAME = 0.9, 0.95
"""The rank correlation above which a map does not depend on the weights; and above which it does not depend on the class."""


def checks(budget: float) -> tuple[Check, ...]:
    """The checks, each within a budget; see `costs`."""
    return (
        Check(
            "random weights",
            "The map becomes another one when the weights of the network are shuffled (sMPRT, Hedström et al. 2023): the "
            "rank "
            "correlation with the map of a network with shuffled weights is not close to 1.",
            lambda s: _random_weights(s, budget),
        ),
        Check(
            "complexity",
            "By how much the entropy of the map rises when all weights are shuffled (eMPRT, Hedström et al. 2023), as a "
            "share "
            "of it. A rise means that training made the map simpler. There is no limit.",
            lambda s: _complexity(s, budget),
        ),
        Check(
            "another class",
            "The map of another class is another one: their rank correlation is not close to 1 (random logit, Sixt et al. "
            "2020).",
            lambda s: _another_class(s, budget),
        ),
    )


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
    return [rank_correlation(own, maps(copies, shuffled(classifier, depth, seed)).mean(axis=0)) for depth in depths]


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
    return float(-(shares * np.log(shares)).sum())


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


def _random_weights(subject: Subject, budget: float) -> Measurement:
    reason = _unsuitable(subject)
    if reason:
        return Measurement(None, detail=reason)
    samples = next((each for each in (SAMPLES, 1) if affordable(subject, each * (len(DEPTHS) + 1), budget)), 0)
    if not samples:
        return Measurement(None, detail=too_expensive(subject, len(DEPTHS) + 1))
    try:
        found = smprt(_maps_of(subject), subject.classifier, subject.image, subject.random, samples=samples)
    except CnnExplainError as error:
        return Measurement(None, detail=str(error))
    each = ", ".join(f"{correlation:.2f} at {depth:.0%}" for depth, correlation in zip(DEPTHS, found, strict=True))
    copies = f"means over {samples} noisy copies" if samples > 1 else "without smoothing, to save time"
    return Measurement(abs(found[-1]), ALIKE, f"rank correlation {each} of the layers shuffled from the pixels up; {copies}")


def _complexity(subject: Subject, budget: float) -> Measurement:
    reason = _unsuitable(subject) or ("" if affordable(subject, 1, budget) else too_expensive(subject, 1))
    if reason:
        return Measurement(None, detail=reason)
    own = main_map(subject.record, subject.index)
    assert own is not None
    try:
        other = _maps_of(subject)(subject.image, shuffled(subject.classifier))[0]
    except CnnExplainError as error:
        return Measurement(None, detail=str(error))
    return Measurement(
        emprt(own, other), None, f"entropy {entropy(own):.3g} nats, with shuffled weights {entropy(other):.3g}"
    )


def _another_class(subject: Subject, budget: float) -> Measurement:
    reason = _unsuitable(subject) or ("" if affordable(subject, 1, budget) else too_expensive(subject, 1))
    if not reason and not isinstance(subject.objective, Logit):
        reason = "the target is not a single class"
    if not reason and subject.classifier.outputs < 2:
        reason = "the network has a single output, whose two scores are opposite"
    if reason:
        return Measurement(None, detail=reason)
    assert isinstance(subject.objective, Logit)
    own = main_map(subject.record, subject.index)
    assert own is not None
    classifier = subject.classifier
    # The scores of a value and of "VALUE down" are opposite.
    target = classifier.target(subject.objective.target) % classifier.outputs
    other = int(subject.random.choice([index for index in range(classifier.outputs) if index != target]))
    map_of_other = main_map(subject.explain(target=other))
    assert map_of_other is not None
    correlation = rank_correlation(own, map_of_other)
    return Measurement(abs(correlation), SAME, f"rank correlation {correlation:.2f} with '{classifier.labels[other]}'")


def _unsuitable(subject: Subject) -> str:
    """Why the tests do not apply to an analysis; "" if they do."""
    analysis = subject.record.analysis
    if main_map(subject.record, subject.index) is None:
        return "the analysis has no map"
    if "classifier" not in analysis.inputs or subject.objective is None:
        return "the analysis explains no target of a network"
    return ""


def _maps_of(subject: Subject) -> Maps:
    def maps(images: Float32[np.ndarray, "N H W C"], classifier: Classifier) -> Float[np.ndarray, "N H W"]:
        record: Any = subject.explain(images, classifier=classifier)
        name = next(name for name in record.analysis.maps if name in record.arrays)
        return np.asarray(record.arrays[name], np.float64)

    return maps
