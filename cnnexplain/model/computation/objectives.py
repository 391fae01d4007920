"""Objectives: scalar functions of layer outputs, such as the logit of a class, a feature map, a neuron, or sums of these.

>>> from cnnexplain import Logit
>>> str(Logit(4) - Logit(9))
'4 − 9'

An objective is a weighted sum of the outputs of layers, so its gradient is the pull-back of these weights.
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from cnnexplain.errors import UsageError, shown

if TYPE_CHECKING:
    from jaxtyping import Float, Float32, Integer

    from cnnexplain.model.classifier import Classifier


class Objective:
    """A scalar function of layer outputs: a weighted sum of `terms`. Objectives can be added, subtracted and scaled."""

    @property
    def terms(self) -> tuple[tuple[Objective, float], ...]:
        """The objectives that it is a sum of, each with its weight."""
        return ((self, 1.0),)

    def __add__(self, other: Objective) -> Objective:
        if not isinstance(other, Objective):
            return NotImplemented
        return Sum((*self.terms, *other.terms))

    def __radd__(self, other: object) -> Objective:
        # The initial value of `sum`.
        return self if other == 0 else NotImplemented

    def __sub__(self, other: Objective) -> Objective:
        return self + -1 * other if isinstance(other, Objective) else NotImplemented

    def __mul__(self, factor: float) -> Objective:
        if not isinstance(factor, int | float) or abs(factor) > sys.float_info.max:
            return NotImplemented
        return Sum(tuple((unit, weight * factor) for unit, weight in self.terms))

    __rmul__ = __mul__

    def __neg__(self) -> Objective:
        return self * -1

    def __str__(self) -> str:
        return self.describe()

    def describe(self, labels: Sequence[str] | None = None) -> str:
        """A short text, such as "4 − 9" or "conv2:3", with labels in place of class indices if given."""
        text = ""
        for unit, weight in self.terms:
            factor = "" if abs(weight) == 1 else f"{abs(weight):g} · "
            sign = (" − " if weight < 0 else " + ") if text else ("−" if weight < 0 else "")
            text += sign + factor + unit._name(labels)
        return text

    def layer_weights(self, classifier: Classifier) -> Mapping[str, Float32[np.ndarray, " ..."]]:
        """For each layer that it reads, the weights of the layer's output for one image.

        Raises:
            UsageError: The model has no such class, layer or unit.
        """
        sums: dict[str, Float32[np.ndarray, " ..."]] = {}
        for unit, factor in self.terms:
            layer, weights = unit._weights(classifier)
            sums[layer] = sums.get(layer, 0) + np.float32(factor) * weights
        return sums

    def seeds(self, classifier: Classifier) -> Mapping[str, Float32[np.ndarray, " ..."]]:
        """The former name of `layer_weights`."""
        return self.layer_weights(classifier)

    def _name(self, labels: Sequence[str] | None) -> str:
        """The text for a single objective; a sum has none of its own."""
        raise NotImplementedError

    def _weights(self, classifier: Classifier) -> tuple[str, Float32[np.ndarray, " ..."]]:
        """The layer of a single objective, and the weights of the layer's output."""
        raise NotImplementedError


@dataclass(frozen=True)
class Sum(Objective):
    """A weighted sum of other objectives, the result of `+`, `-` and `*`."""

    parts: tuple[tuple[Objective, float], ...]

    @property
    def terms(self) -> tuple[tuple[Objective, float], ...]:
        """The objectives that it is a sum of, each with its weight."""
        return self.parts


@dataclass(frozen=True)
class Logit(Objective):
    """The score of a class before the softmax, S_c; the class by index or label."""

    target: int | str

    def _name(self, labels: Sequence[str] | None) -> str:
        return labels[self.target] if labels is not None and isinstance(self.target, int) else str(self.target)

    def _weights(self, classifier: Classifier) -> tuple[str, Float32[np.ndarray, " ..."]]:
        weights = np.zeros(len(classifier.labels), np.float32)
        weights[classifier.target(self.target)] = 1
        return "logits", weights


@dataclass(frozen=True)
class Channel(Objective):
    """The mean of feature map `index` of a layer, or the output of unit `index` of a dense layer."""

    layer: str
    index: int

    def _name(self, _: Sequence[str] | None) -> str:
        return f"{self.layer}:{self.index}"

    def _weights(self, classifier: Classifier) -> tuple[str, Float32[np.ndarray, " ..."]]:
        layer = classifier.layer(self.layer)
        check_unit(layer.name, layer.shape[-1:], (self.index,))
        weights = np.zeros(layer.shape, np.float32)
        weights[..., self.index] = layer.shape[-1] / weights.size
        return layer.name, weights


@dataclass(frozen=True)
class Direction(Objective):
    """A direction in the feature space of a layer: Σ_k vector_k · (the mean of feature map k, or the output of unit k).

    Args:
        layer: The name of the layer.
        vector: A weight for each of its K feature maps or units, such as the direction of a concept; of any norm.
        name: The text for the objective; None for the layer's name with "direction".
    """

    layer: str
    vector: tuple[float, ...]
    name: str | None = None

    def __post_init__(self) -> None:
        vector: Float32[np.ndarray, " K"]
        try:
            vector = np.asarray(self.vector, np.float32)
        except (TypeError, ValueError, OverflowError):
            vector = np.zeros((), np.float32)
        if vector.ndim != 1 or not np.isfinite(vector).all() or not vector.any():
            raise UsageError(
                f"A direction in '{self.layer}' must be a list of finite numbers, not all 0, but got {shown(self.vector)}."
            )
        # Arrays are not hashable.
        object.__setattr__(self, "vector", tuple(map(float, vector)))

    def _name(self, _: Sequence[str] | None) -> str:
        return self.name or f"{self.layer}:direction"

    def _weights(self, classifier: Classifier) -> tuple[str, Float32[np.ndarray, " ..."]]:
        layer = classifier.layer(self.layer)
        if len(self.vector) != layer.shape[-1]:
            raise UsageError(
                f"The direction '{self._name(None)}' has {len(self.vector)} numbers, but the layer '{layer.name}' has "
                f"{layer.shape[-1]} feature maps or units; give one for each."
            )
        places = np.prod(layer.shape[:-1])
        return layer.name, np.broadcast_to(np.array(self.vector, np.float32) / np.float32(places), layer.shape).copy()


@dataclass(frozen=True)
class Neuron(Objective):
    """The value of feature map `index` of a layer at a row and column."""

    layer: str
    row: int
    column: int
    index: int

    def _name(self, _: Sequence[str] | None) -> str:
        return f"{self.layer}:{self.row},{self.column},{self.index}"

    def _weights(self, classifier: Classifier) -> tuple[str, Float32[np.ndarray, " ..."]]:
        layer = classifier.layer(self.layer, maps=True)
        place = (self.row, self.column, self.index)
        check_unit(layer.name, layer.shape, place)
        weights = np.zeros(layer.shape, np.float32)
        weights[place] = 1
        return layer.name, weights


def check_unit(name: str, shape: Sequence[int], place: Sequence[int]) -> None:
    """Checks that the output of a layer has a unit at a place.

    Raises:
        UsageError: It does not.
    """
    if any(not 0 <= index < size for index, size in zip(place, shape, strict=True)):
        last = ", ".join(str(size - 1) for size in shape)
        raise UsageError(f"The layer '{name}' has no unit {', '.join(map(str, place))}: they go from 0 to {last}.")


def is_index(value: Any) -> bool:
    """Whether a value is an integer of any type."""
    try:
        operator.index(value)
    except TypeError:
        return False
    return True


Targets: TypeAlias = "Integer[np.ndarray, ' N'] | Sequence[Objective]"
"""A class index or an objective for each of N images; an index stands for the logit of the class."""


def as_objectives(targets: Targets) -> list[Objective]:
    """The objectives of targets.

    Raises:
        UsageError: A target is neither a class index nor an objective.
    """
    for target in targets:
        if not isinstance(target, Objective) and not is_index(target):
            raise UsageError(f"A target must be the index of a class or an Objective, but got {shown(target)}.")
    return [target if isinstance(target, Objective) else Logit(int(target)) for target in targets]


def output_weights(
    classifier: Classifier, images: Float[np.ndarray, "N ..."], targets: Targets
) -> tuple[tuple[str, ...], list[Float32[np.ndarray, "N ..."]]]:
    """The layers that the targets of images read, and for each layer the weights (N, *shape) of its output.

    Raises:
        UsageError: The model has no such class, layer or unit, or the number of targets is not that of the images.
    """
    objectives = as_objectives(targets)
    if len(objectives) != len(images):
        raise UsageError(f"There are {len(objectives)} objectives for {len(images)} images; pass one for each image.")
    # Thousands of images may share an objective, such as the noisy copies of one image.
    distinct = {id(objective): objective for objective in objectives}
    computed = {key: objective.layer_weights(classifier) for key, objective in distinct.items()}
    weights = [computed[id(objective)] for objective in objectives]
    names = tuple(sorted({name for each in weights for name in each}))
    zeros = {name: np.zeros(classifier.layer(name).shape, np.float32) for name in names}
    return names, [np.stack([each.get(name, zeros[name]) for each in weights]) for name in names]
