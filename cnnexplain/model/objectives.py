"""What can be asked of a network: the score of a class, a feature map, a neuron, and their sums and differences.

>>> from cnnexplain import Logit
>>> str(Logit(4) - Logit(9))
'4 − 9'

An objective is a weighted sum of the outputs of layers, so that its gradient is the pull-back of those weights, its `seeds`.
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnexplain.errors import UsageError, shown

if TYPE_CHECKING:
    from cnnexplain.model.classifier import Classifier
    from cnnexplain.types import Array, Floats, Integers


class Objective:
    """A number that an image has for a network, as a weighted sum of `terms`; closed under +, − and × by a number."""

    @property
    def terms(self) -> tuple[tuple[Objective, float], ...]:
        """The units that it is made of, each with its weight."""
        return ((self, 1.0),)

    def __add__(self, other: Objective) -> Objective:
        if not isinstance(other, Objective):
            return NotImplemented
        return Sum((*self.terms, *other.terms))

    def __radd__(self, other: object) -> Objective:
        # What `sum` starts with.
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
        """In a few characters, such as "4 − 9" or "conv2:3"; classes by their labels where these are given."""
        words = ""
        for unit, weight in self.terms:
            factor = "" if abs(weight) == 1 else f"{abs(weight):g} · "
            sign = (" − " if weight < 0 else " + ") if words else ("−" if weight < 0 else "")
            words += sign + factor + unit._name(labels)
        return words

    def seeds(self, classifier: Classifier) -> Mapping[str, Floats]:
        """For each layer that it reads, the weight of every number which that layer returns for one image.

        Raises:
            UsageError: The model has no such class, layer or unit.
        """
        seeds: dict[str, Floats] = {}
        for unit, weight in self.terms:
            layer, seed = unit._seed(classifier)
            seeds[layer] = seeds.get(layer, 0) + np.float32(weight) * seed
        return seeds

    def _name(self, labels: Sequence[str] | None) -> str:
        """How a unit is called; a sum has no name of its own."""
        raise NotImplementedError

    def _seed(self, classifier: Classifier) -> tuple[str, Floats]:
        """The layer of a unit, and the weights of that layer's numbers."""
        raise NotImplementedError


@dataclass(frozen=True)
class Sum(Objective):
    """A weighted sum of other objectives, as `+`, `-` and `*` make it."""

    parts: tuple[tuple[Objective, float], ...]

    @property
    def terms(self) -> tuple[tuple[Objective, float], ...]:
        """The units that it is made of, each with its weight."""
        return self.parts


@dataclass(frozen=True)
class Logit(Objective):
    """The score of a class before the softmax, S_c; the class by index or label."""

    target: int | str

    def _name(self, labels: Sequence[str] | None) -> str:
        return labels[self.target] if labels is not None and isinstance(self.target, int) else str(self.target)

    def _seed(self, classifier: Classifier) -> tuple[str, Floats]:
        seed = np.zeros(len(classifier.labels), np.float32)
        seed[classifier.target(self.target)] = 1
        return "logits", seed


@dataclass(frozen=True)
class Channel(Objective):
    """The mean of feature map `index` of a layer, or the output of unit `index` of a dense one."""

    layer: str
    index: int

    def _name(self, _: Sequence[str] | None) -> str:
        return f"{self.layer}:{self.index}"

    def _seed(self, classifier: Classifier) -> tuple[str, Floats]:
        layer = classifier.layer(self.layer)
        _check(layer.name, layer.shape[-1:], (self.index,))
        seed = np.zeros(layer.shape, np.float32)
        seed[..., self.index] = layer.shape[-1] / seed.size
        return layer.name, seed


@dataclass(frozen=True)
class Direction(Objective):
    """A direction in the feature space of a layer: Σ_k vector_k · (the mean of feature map k, or the output of unit k).

    Args:
        layer: The layer.
        vector: A weight for each of its K feature maps or units, such as a concept's direction; of any length.
        name: What to call it; None for the layer's name with "direction".
    """

    layer: str
    vector: tuple[float, ...]
    name: str | None = None

    def __post_init__(self) -> None:
        vector: Floats
        try:
            vector = np.asarray(self.vector, np.float32)
        except (TypeError, ValueError, OverflowError):
            vector = np.zeros((), np.float32)
        if vector.ndim != 1 or not np.isfinite(vector).all() or not vector.any():
            raise UsageError(
                f"A direction in '{self.layer}' is a list of finite numbers, not all 0, but got {shown(self.vector)}."
            )
        # An array is not hashable.
        object.__setattr__(self, "vector", tuple(map(float, vector)))

    def _name(self, _: Sequence[str] | None) -> str:
        return self.name or f"{self.layer}:direction"

    def _seed(self, classifier: Classifier) -> tuple[str, Floats]:
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
    """One number of a layer of feature maps: that of map `index` at a row and column."""

    layer: str
    row: int
    column: int
    index: int

    def _name(self, _: Sequence[str] | None) -> str:
        return f"{self.layer}:{self.row},{self.column},{self.index}"

    def _seed(self, classifier: Classifier) -> tuple[str, Floats]:
        layer = classifier.layer(self.layer, maps=True)
        place = (self.row, self.column, self.index)
        _check(layer.name, layer.shape, place)
        seed = np.zeros(layer.shape, np.float32)
        seed[place] = 1
        return layer.name, seed


def _check(name: str, shape: tuple[int, ...], place: tuple[int, ...]) -> None:
    if any(not 0 <= index < size for index, size in zip(place, shape, strict=True)):
        last = ", ".join(str(size - 1) for size in shape)
        raise UsageError(f"The layer '{name}' has no unit {', '.join(map(str, place))}: they go from 0 to {last}.")


def is_index(value: Any) -> bool:
    """Whether a value is a whole number of any type."""
    try:
        operator.index(value)
    except TypeError:
        return False
    return True


def as_objectives(targets: Integers | Sequence[Objective]) -> list[Objective]:
    """Class indices as the objectives of their logits; objectives as they are.

    Raises:
        UsageError: One is neither.
    """
    for target in targets:
        if not isinstance(target, Objective) and not is_index(target):
            raise UsageError(f"A target is the number of a class or an Objective, but got {shown(target)}.")
    return [target if isinstance(target, Objective) else Logit(int(target)) for target in targets]


def output_weights(
    classifier: Classifier, images: Array, objectives: Sequence[Objective]
) -> tuple[tuple[str, ...], list[Floats]]:
    """The layers that the objectives read, and for each layer the weights (N, *shape) of its output.

    Raises:
        UsageError: The model has no such class, layer or unit, or there are more or fewer objectives than images.
    """
    if len(objectives) != len(images):
        raise UsageError(f"There are {len(objectives)} objectives for {len(images)} images; give one for each.")
    # An objective may stand for thousands of images, such as the copies of one with noise.
    different = {id(objective): objective for objective in objectives}
    found = {key: objective.seeds(classifier) for key, objective in different.items()}
    seeds = [found[id(objective)] for objective in objectives]
    names = tuple(sorted({name for seed in seeds for name in seed}))
    nothing = {name: np.zeros(classifier.layer(name).shape, np.float32) for name in names}
    return names, [np.stack([seed.get(name, nothing[name]) for seed in seeds]) for name in names]
