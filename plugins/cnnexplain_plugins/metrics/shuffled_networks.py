"""Copies of a network with shuffled weights, which are made once for all images and metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from cnnexplain import Classifier

_made: WeakKeyDictionary[Classifier, dict[float, Classifier]] = WeakKeyDictionary()


def shuffled_network(classifier: Classifier, share: float) -> Classifier:
    """The network with shuffled weights in this share of its layers, from the pixels up; always the same for a classifier.

    Raises:
        ModelError: Keras can't copy the model.
    """
    from cnnexplain.checks import shuffled

    made = _made.setdefault(classifier, {})
    if share not in made:
        made[share] = shuffled(classifier, share)
    return made[share]
