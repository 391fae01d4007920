"""Does a map explain this network and this class? Tests with shuffled weights and with another class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cnnexplain.checks.costs import affordable, too_expensive
from cnnexplain.checks.random_weights import DEPTHS, SAMPLES, Maps, emprt, entropy, rank_correlation, smprt
from cnnexplain.checks.shuffling import shuffled_network
from cnnexplain.errors import CnnExplainError
from cnnexplain.model.classifier import Classifier
from cnnexplain.model.computation.objectives import Logit
from cnnexplain.plugin.check import Check, Measurement, Subject
from cnnexplain.results.notes import ALIKE
from cnnexplain.verification.stability import constant_map, main_map

if TYPE_CHECKING:
    from jaxtyping import Float, Float32

SAME = 0.95
"""The rank correlation above which a map does not depend on the class."""

CLASSES = 3
"""The number of other classes with which a map is compared, as long as it is the same for each of them."""


def checks() -> tuple[Check, ...]:
    """The checks."""
    return (
        Check(
            "random weights",
            "Shuffling the weights of the network changes the map: its rank correlation with the map of the shuffled "
            "network is not close to 1 (sMPRT, Hedström et al. 2023).",
            _random_weights,
        ),
        Check(
            "complexity",
            "The relative increase of the entropy of the map when all weights are shuffled (eMPRT, Hedström et al. 2023). "
            "An increase means that training made the map simpler. There is no limit.",
            _complexity,
        ),
        Check(
            "another class",
            "The map depends on the class: its rank correlation with the map of a random other class is not close "
            "to 1 (random logit, Sixt et al. 2020). If it is, two more classes are tried, and the smallest counts.",
            _another_class,
        ),
    )


def _random_weights(subject: Subject) -> Measurement:
    reason = _unsuitable(subject)
    if reason:
        return Measurement(None, detail=reason)
    samples = next((each for each in (SAMPLES, 1) if affordable(subject, each * (len(DEPTHS) + 1))), 0)
    if not samples:
        return Measurement(None, detail=too_expensive(subject, len(DEPTHS) + 1))
    try:
        found = smprt(_maps_of(subject), subject.classifier, subject.image, subject.random, samples=samples)
    except CnnExplainError as error:
        return Measurement(None, detail=str(error))
    each = ", ".join(f"{correlation:.2f} at {depth:.0%}" for depth, correlation in zip(DEPTHS, found, strict=True))
    copies = f"means over {samples} noisy copies" if samples > 1 else "without smoothing, to save time"
    return Measurement(abs(found[-1]), ALIKE, f"rank correlation {each} of the layers shuffled from the pixels up; {copies}")


def _complexity(subject: Subject) -> Measurement:
    reason = _unsuitable(subject) or ("" if affordable(subject, 1) else too_expensive(subject, 1))
    if reason:
        return Measurement(None, detail=reason)
    own = main_map(subject.record, subject.index)
    assert own is not None
    try:
        other = _maps_of(subject)(subject.image, shuffled_network(subject.classifier))[0]
    except CnnExplainError as error:
        return Measurement(None, detail=str(error))
    return Measurement(
        emprt(own, other), None, f"entropy {entropy(own):.3g} nats, with shuffled weights {entropy(other):.3g}"
    )


def _another_class(subject: Subject) -> Measurement:
    reason = _unsuitable(subject) or ("" if affordable(subject, 1) else too_expensive(subject, 1))
    if not reason and not isinstance(subject.objective, Logit):
        reason = "the target is not a single class"
    if not reason and subject.classifier.outputs < 2:
        reason = "the network has a single output, whose two scores are opposite"
    if not reason and subject.classifier.outputs == 2 and subject.classifier.head == "softmax":
        reason = "of two classes, only the difference of the logits matters, so the maps may be the same or opposite"
    if reason:
        return Measurement(None, detail=reason)
    assert isinstance(subject.objective, Logit)
    own = main_map(subject.record, subject.index)
    assert own is not None
    classifier = subject.classifier
    # The scores of a value and of "VALUE down" are opposite.
    target = classifier.target(subject.objective.target) % classifier.outputs
    others = subject.random.permutation([index for index in range(classifier.outputs) if index != target])
    found: dict[str, float] = {}
    for other in others[:CLASSES].tolist():
        map_of_other = main_map(subject.explain(target=other))
        assert map_of_other is not None
        found[classifier.labels[other]] = rank_correlation(own, map_of_other)
        # A similar class, such as that of another breed, may depend on the same evidence.
        if found[classifier.labels[other]] <= SAME:
            break
    detail = "rank correlation " + ", ".join(f"{each:.2f} with '{label}'" for label, each in found.items())
    if classifier.head == "softmax":
        return Measurement(min(found.values()), SAME, detail)
    return Measurement(
        min(found.values()), None, f"{detail}; no limit, as outputs without a softmax may depend on the same evidence"
    )


def _unsuitable(subject: Subject) -> str:
    """Why the tests do not apply to an analysis; "" if they do."""
    analysis = subject.record.analysis
    if main_map(subject.record, subject.index) is None:
        return "the analysis has no map"
    if "classifier" not in analysis.inputs or subject.objective is None:
        return "the analysis explains no target of a network"
    return constant_map(subject)


def _maps_of(subject: Subject) -> Maps:
    def maps(images: Float32[np.ndarray, "N H W C"], classifier: Classifier) -> Float[np.ndarray, "N H W"]:
        record: Any = subject.explain(images, classifier=classifier)
        name = next(name for name in record.analysis.maps if name in record.arrays)
        return np.asarray(record.arrays[name], np.float64)

    return maps
