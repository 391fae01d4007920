"""A copy of a network whose weights become shuffled ones, made and compiled once for all images and metrics."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from cnnexplain import Classifier


@dataclass
class _Copy:
    """The copy, its weights for each share of shuffled layers that was asked for, and the share that it has now."""

    network: Classifier
    weights: dict[float, list[Any]] = field(default_factory=dict)
    share: float | None = None


_copies: WeakKeyDictionary[Classifier, _Copy] = WeakKeyDictionary()


def shuffled_network(classifier: Classifier, share: float) -> Classifier:
    """The network with shuffled weights in this share of its layers, from the pixels up; always the same for a classifier.

    It is valid until the next call, which may give the same copy other weights, since what is compiled for it can be used
    again.

    Raises:
        ModelError: Keras can't copy the model.
    """
    from cnnexplain.checks import shuffled

    copy = _copies.get(classifier)
    if copy is None or share not in copy.weights:
        made = shuffled(classifier, share)
        copy = _copies.setdefault(classifier, _Copy(made))
        copy.weights[share] = made.model.get_weights()
    if copy.share != share:
        copy.network.model.set_weights(copy.weights[share])
        copy.share = share
    return copy.network
