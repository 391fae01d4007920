"""Copies of a model with shuffled weights, in some of its layers; the user's model is not changed."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import keras
import numpy as np

from cnnexplain.errors import ModelError, foreign, line, reason
from cnnexplain.model.classifier import Classifier

if TYPE_CHECKING:
    from jaxtyping import Shaped


_copies: WeakKeyDictionary[Classifier, Classifier] = WeakKeyDictionary()
"""The reusable copy of each classifier."""


def shuffled(classifier: Classifier, share: float = 1.0, seed: int = 0) -> Classifier:
    """A classifier with shuffled weights in its first layers, from the pixels up.

    The values of each weight are permuted, so that their distribution, and with it the scale of the outputs, stays about the
    same. Vectors of the same layer, such as the means and variances of a batch normalization, are permuted alike: a small
    variance stays with the small mean.

    Args:
        classifier: The classifier.
        share: The share of the layers with weights that are shuffled, counted from the input.
        seed: Seed of the permutations.

    Raises:
        ModelError: Keras can't copy the model.
    """
    with _copying(classifier):
        copy = keras.models.clone_model(classifier.model)
        # In some models a copy has other weights, for example if the configuration of a layer lacks an argument.
        if [weight.shape for weight in classifier.model.weights] != [weight.shape for weight in copy.weights]:
            raise ModelError("its copy has other weights")
        copy.set_weights(_shuffled_weights(classifier, share, seed))
        return classifier.with_model(copy)


def shuffled_network(classifier: Classifier, share: float = 1.0, seed: int = 0) -> Classifier:
    """The classifier of `shuffled`, copied and compiled once for each classifier.

    It is valid until the next call for the same classifier, which gives the same copy other weights.

    Args:
        classifier: As for `shuffled`.
        share: As for `shuffled`.
        seed: As for `shuffled`.

    Raises:
        ModelError: Keras can't copy the model.
    """
    copy = _copies.get(classifier)
    if copy is None:
        copy = _copies[classifier] = shuffled(classifier, share, seed)
    else:
        # Even for the same share and seed: the model may have been trained since, or the last call interrupted.
        with _copying(classifier):
            copy.model.set_weights(_shuffled_weights(classifier, share, seed))
    return copy


def _copying(classifier: Classifier) -> AbstractContextManager[None]:
    return foreign(
        lambda error: ModelError(f"'{line(classifier.name)}' can't be copied to shuffle its weights: {reason(error)}")
    )


def _shuffled_weights(classifier: Classifier, share: float, seed: int) -> list[Shaped[np.ndarray, " ..."]]:
    """The weights of a classifier, with those of a share of its layers permuted."""
    random = np.random.default_rng(seed)
    values: list[Shaped[np.ndarray, " ..."]] = classifier.model.get_weights()
    groups = _by_layer(classifier.model)
    for places in groups[: round(share * len(groups))]:
        for place, value in zip(places, _permuted([values[place] for place in places], random), strict=True):
            values[place] = value
    return values


def _by_layer(model: Any) -> list[list[int]]:
    """The indices of the weights of each layer, in the order of the layers."""
    groups: dict[str, list[int]] = {}
    for place, weight in enumerate(model.weights):
        groups.setdefault(weight.path.rpartition("/")[0], []).append(place)
    return list(groups.values())


def _permuted(weights: list[Shaped[np.ndarray, " ..."]], random: np.random.Generator) -> list[Shaped[np.ndarray, " ..."]]:
    """The weights of a layer with their values permuted; vectors of the same length alike."""
    orders: dict[int, Shaped[np.ndarray, " n"]] = {}
    permuted = []
    for weight in weights:
        if weight.ndim == 1:
            order = orders.setdefault(len(weight), random.permutation(len(weight)))
            permuted.append(weight[order])
        else:
            permuted.append(random.permutation(weight.ravel()).reshape(weight.shape))
    return permuted
