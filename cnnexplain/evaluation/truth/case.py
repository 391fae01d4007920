"""A case: a network and images for which it is known which pixels are relevant."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from cnnexplain.errors import CnnExplainError

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Float32, Int64, Shaped

    from cnnexplain.model.classifier import Classifier


class TruthError(CnnExplainError):
    """The truth of a case does not hold, for example because its network was not trained well enough."""


@dataclass(frozen=True, eq=False)
class Case:
    """A network and images whose relevant pixels are known.

    Args:
        name: The name of the case, such as "maximum".
        right: A sentence on which pixels are relevant, and why.
        classifier: The network.
        images: (N, H, W, C) in the network's input range.
        targets: (N,), the class that is explained for each image.
        masks: (N, H, W), the relevant pixels: those on which the logit of the target depends.
        evidence: What the relevant pixels contain. "for": only evidence for the target, so that positive attributions
            belong there. "both": also evidence against it, or pixels that matter because something is absent, so that
            the magnitude of an attribution counts.
        figures: What was measured to confirm the truth, such as the accuracy of a trained network.
    """

    name: str
    right: str
    classifier: Classifier
    images: Float32[np.ndarray, "N H W C"]
    targets: Int64[np.ndarray, " N"]
    masks: Bool[np.ndarray, "N H W"]
    evidence: Literal["for", "both"]
    figures: Mapping[str, float] = field(default_factory=dict)

    def relevance(self, maps: Float[np.ndarray, "*M H W"]) -> Float[np.ndarray, "*M H W"]:
        """The maps as they are compared with the masks: their magnitude if pixels also matter as evidence against."""
        return np.abs(maps) if self.evidence == "both" else maps

    def summary(self) -> Summary:
        """What tables say about the case."""
        return Summary(self.right, self.evidence, len(self.images), float(self.masks.mean()), self.figures)


@dataclass(frozen=True)
class Summary:
    """What tables say about a case.

    Args:
        right: As in `Case`.
        evidence: As in `Case`.
        images: The number of images.
        relevant: The share of relevant pixels.
        figures: As in `Case`.
    """

    right: str
    evidence: str
    images: int
    relevant: float
    figures: Mapping[str, float]


@dataclass(frozen=True)
class CaseMaker:
    """How to make a case.

    Args:
        name: The name of the case.
        make: From the number of images and a seed to the case.
        source: The publication that the case follows, or "" for a network with weights set by hand.
        trained: Whether the network is trained, which takes seconds.
    """

    name: str
    make: Callable[[int, int], Case]
    source: str = ""
    trained: bool = False


@dataclass(frozen=True)
class Limit:
    """A measured share on which the truth of a case depends, with its smallest and its largest acceptable value."""

    value: float
    least: float = 0.0
    most: float = 1.0


def accuracy(classifier: Classifier, images: Float[np.ndarray, "N H W C"], classes: Shaped[np.ndarray, " N"]) -> float:
    """The share of images that a network classifies as these classes."""
    return float((classifier.logits(images).argmax(axis=1) == classes).mean())


def require(name: str, what: str, limit: Limit) -> None:
    """Checks a measured share.

    Raises:
        TruthError: It is not acceptable.
    """
    if not limit.least <= limit.value <= limit.most:
        bound = f"at least {limit.least:.0%}" if limit.value < limit.least else f"at most {limit.most:.0%}"
        raise TruthError(
            f"The truth of the case '{name}' does not hold: {what} is {limit.value:.1%}, but should be {bound}. "
            "Choose another seed."
        )


def trained(
    *,
    name: str,
    right: str,
    classifier: Classifier,
    images: Float32[np.ndarray, "N H W C"],
    classes: Int64[np.ndarray, " N"],
    masks: Bool[np.ndarray, "N H W"],
    limits: Mapping[str, Limit],
    count: int,
    random: np.random.Generator,
) -> Case:
    """The case of a trained network, with random ones of the held-out images that it classifies correctly.

    Raises:
        TruthError: What was measured is not acceptable, or too few images are classified correctly.
    """
    for what, limit in limits.items():
        require(name, what, limit)
    chosen = choose(classifier.logits(images).argmax(axis=1) == classes, count, name, random)
    figures = {what: limit.value for what, limit in limits.items()}
    return Case(name, right, classifier, images[chosen], classes[chosen], masks[chosen], "both", figures)


def choose(
    correct: Bool[np.ndarray, " N"], count: int, name: str, random: np.random.Generator
) -> Int64[np.ndarray, " count"]:
    """Random indices of correctly classified images, in ascending order.

    Raises:
        TruthError: There are fewer than `count`.
    """
    found = np.flatnonzero(correct)
    if len(found) < count:
        raise TruthError(f"The case '{name}' has only {len(found)} correctly classified images, but {count} are needed.")
    return np.sort(random.choice(found, count, replace=False)).astype(np.int64)
