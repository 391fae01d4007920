"""Outputs that are computed of probabilities: percentages, means over models or pixels, sums over classes, 1 − p.

Such outputs are no scores before a softmax, whatever numbers they are: their softmax would be a probability that the model
doesn't return. Logarithms of probabilities are scores, and so is what a layer makes of them with its learned weights.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import keras
import numpy as np

from cnnexplain.errors import line
from cnnexplain.model import output_functions
from cnnexplain.model.activations import is_linear
from cnnexplain.model.function_trials import MOST_VALUES, evaluate
from cnnexplain.model.graph import Call, Graph
from cnnexplain.model.linear_parts import linear_part
from cnnexplain.types import Floats

ROWS = 24
"""How many sets of probabilities it is tried on what is computed of them."""

DIFFER = 1e-3
"""By how much of the largest of them numbers may differ that are the same but for rounding."""


@dataclass(frozen=True)
class Mixture:
    """What an output is computed of.

    Args:
        sources: The calls that return the probabilities, which nothing with weights follows.
        activations: What these end in: "softmax", "sigmoid", or the name of another activation.
        low: The least that the output can be.
        high: The most.
        place: Which of the model's outputs it is.
        layer: The name of the layer that returns all the probabilities, as many as the output has numbers, and could end
            the model; None where there is none.
    """

    sources: tuple[Call, ...]
    activations: tuple[str, ...]
    low: float
    high: float
    place: int
    layer: str | None

    @property
    def probable(self) -> bool:
        """Whether the output may be probabilities itself."""
        return self.low > -DIFFER and self.high < 1 + DIFFER

    def __str__(self) -> str:
        """What it is, such as "computed from the softmax of layer 'scores' and go from 0 to 100"."""
        kinds = " and the ".join(dict.fromkeys(self.activations))
        names = list(dict.fromkeys(f"'{line(call.name, 80)}'" for call in self.sources))
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        of = f"layers {', '.join(names[:3])}{more}" if len(names) > 1 else f"layer {names[0]}"
        return f"computed from the {kinds} of {of} and go from {self.low:.4g} to {self.high:.4g}"

    @property
    def remedy(self) -> str:
        """How to come from an output that isn't probabilities to one that is."""
        if self.layer is not None and self.activations[0] in output_functions.PROBABILISTIC:
            end = f"model.get_layer('{self.layer}').output"
            return f"End the model in that layer: cx.load(keras.Model(model.inputs, {end}))"
        return rescaled(self.low, self.high, self.place)


def rescaled(low: float, high: float, place: int) -> str:
    """How to come to probabilities from a model's output of that range, of which the place among all is given."""
    end = f"model.outputs[{place}]"
    shifted = f"({end} {'-' if low > 0 else '+'} {abs(low):.4g})" if abs(low) > DIFFER * high else end
    return f"Scale them: cx.load(keras.Model(model.inputs, {shifted} / {high - low:.4g}), probabilities=True)"


def mixture(graph: Graph, end: Any) -> Mixture | None:
    """What an output is computed of, if that is probabilities alone and it is not made scores again.

    Args:
        graph: The model.
        end: One of its symbolic tensors.
    """
    made = {id(tensor): call for call in graph.calls for tensor in keras.tree.flatten(call.output)}
    found: list[_Source] = []
    between: set[int] = set()
    left, seen, learned = [end], set(), False
    while left:
        tensor = left.pop()
        if id(tensor) in seen:
            continue
        seen.add(id(tensor))
        call = made.get(id(tensor))
        # The image, or a value that is fixed.
        if call is None or None in tensor.shape[1:]:
            return None
        squashed, weighted = _squashed(call, tensor), bool(getattr(call.inner, "weights", None))
        if squashed is not None:
            found.append(_Source(call, tensor, squashed))
        elif not call.sources or (weighted and not _linear(call.inner)):
            return None
        else:
            learned = learned or weighted
            between.add(id(call))
            left += call.sources
    rows = _outputs([call for call in graph.calls if id(call) in between], found, end)
    # What weights make of probabilities are scores, unless the weights are shares themselves.
    if rows is None or (learned and (rows.min() < 0 or np.ptp(rows.sum(axis=1)) > DIFFER * rows.max())):
        return None
    found.sort(key=lambda each: graph.calls.index(each.call))
    calls, names = zip(*((each.call, each.squashed.name) for each in found), strict=True)
    layer = found[0].layer(graph) if len(found) == 1 and found[0].size == math.prod(end.shape[1:]) else None
    return Mixture(calls, names, float(rows.min()), float(rows.max()), graph.output_index, layer)


@dataclass(frozen=True, eq=False)
class _Source:
    """A tensor of probabilities, or of a multiple of them, and the call that puts it out."""

    call: Call
    tensor: Any
    squashed: output_functions.Squashing

    @property
    def size(self) -> int:
        """How many numbers it holds for an image."""
        return math.prod(self.tensor.shape[1:])

    def layer(self, graph: Graph) -> str | None:
        """The name of the layer that puts it out; None where that is an operation, nested, or called several times."""
        inner = self.call.inner
        once = sum(call.inner is inner for call in graph.calls) == 1
        return inner.name if isinstance(inner, keras.Layer) and inner.name == self.call.name and once else None

    def like(self, row: int, random: np.random.Generator) -> Floats:
        """Numbers that it may be: (…)."""
        shape = tuple(self.tensor.shape[1:])
        classes = max(shape, default=1) if max(shape, default=1) == math.prod(shape) else shape[-1]
        numbers = random.uniform(0, 1, (math.prod(shape) // classes, classes))
        # In every third row one class alone, of all sources the same.
        alone = np.arange(classes) == row // 3 % classes
        if self.squashed.sums_to_high:
            numbers = numbers**4 / (numbers**4).sum(axis=1, keepdims=True)
            numbers = np.where(row % 3, numbers, alone)
        else:
            numbers = [np.full_like(numbers, row % 2), numbers, np.round(numbers)][row % 3]
        return np.asarray(self.squashed.high * numbers, np.float64).reshape(shape)


def _squashed(call: Call, tensor: Any) -> output_functions.Squashing | None:
    """What a call makes of scores, if that is probabilities or a multiple of them."""
    if getattr(call.inner, "weights", None):
        activation = getattr(call.inner, "activation", None)
        return output_functions.squashing(activation, tuple(tensor.shape[1:])) if callable(activation) else None
    if len(call.sources) != 1 or None in call.sources[0].shape[1:]:
        return None
    (source,) = call.sources
    dtype = keras.backend.standardize_dtype(source.dtype)
    return output_functions.squashing(partial(call.with_input, source), tuple(source.shape[1:]), dtype)


def _linear(layer: Any) -> bool:
    """Whether a layer multiplies by weights and adds a bias, and does nothing else."""
    return linear_part(layer) is not None and is_linear(getattr(layer, "activation", None))


def _outputs(calls: list[Call], sources: list[_Source], end: Any) -> Floats | None:
    """What calls make of probabilities, (rows, numbers); None where they make scores of these, or all the same."""
    if ROWS * (sum(source.size for source in sources) + math.prod(end.shape[1:])) > MOST_VALUES:
        return None
    random = np.random.default_rng(0)
    rows = [np.concatenate([source.like(row, random).ravel() for source in sources]) for row in range(ROWS)]
    outcome = evaluate(_function(calls, sources, end), np.stack([*rows, (rows[1] + rows[2]) / 2]))
    if outcome is None or not np.isfinite(outcome[0]).all():
        return None
    found, precision = outcome[0].reshape(ROWS + 1, -1), max(outcome[1], DIFFER)
    largest = np.abs(found).max()
    linear = np.allclose(found[-1], (found[1] + found[2]) / 2, rtol=0, atol=precision * largest)
    # A logarithm is negative and not linear.
    if np.ptp(found) <= precision * largest or (found.min() < -precision * largest and not linear):
        return None
    return found


def _function(calls: list[Call], sources: list[_Source], end: Any) -> Callable[[Any], Any]:
    """What maps the numbers of the sources, one after the other, (N, n) to the end."""

    def function(x: Any) -> Any:
        here: dict[int, Any] = {}
        start = 0

        def put(leaf: Any) -> Any:
            return here.get(id(leaf), leaf)

        for source in sources:
            part = keras.ops.reshape(x[:, start : start + source.size], (-1, *source.tensor.shape[1:]))
            here[id(source.tensor)], start = keras.ops.cast(part, source.tensor.dtype), start + source.size
        for call in calls:
            args, kwargs = keras.tree.map_structure(put, (call.args, call.kwargs))
            outputs = keras.tree.flatten(call.function(*args, **kwargs))
            here |= dict(zip(map(id, keras.tree.flatten(call.output)), outputs, strict=True))
        return here[id(end)]

    return function
