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


def accuracy(classifier: Classifier, images: Float[np.ndarray, "N H W C"], classes: Shaped[np.ndarray, " N"]) -> float:
    """The share of images that a network classifies as these classes."""
    return float((classifier.logits(images).argmax(axis=1) == classes).mean())


def require(name: str, what: str, value: float, *, least: float = 0.0, most: float = 1.0) -> None:
    """Checks a measured share on which the truth of a case depends.

    Raises:
        TruthError: It is below `least` or above `most`.
    """
    if not least <= value <= most:
        limit = f"at least {least:.0%}" if value < least else f"at most {most:.0%}"
        raise TruthError(
            f"The truth of the case '{name}' does not hold: {what} is {value:.1%}, but should be {limit}. "
            "Choose another seed."
        )


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
