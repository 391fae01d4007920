"""Outputs that are computed from probabilities: percentages, means over models or pixels, sums over classes, 1 − p.

They are not scores before a softmax, whatever their range: their softmax would be a probability that the model does not
return. Logarithms of probabilities are scores, and so is the output of a layer with learned weights.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from cnnexplain.errors import line
from cnnexplain.model.head.output_functions import PROBABILISTIC, Squashing, squashing
from cnnexplain.model.structure.activations import is_linear
from cnnexplain.model.structure.function_trials import MOST_VALUES, evaluate
from cnnexplain.model.structure.graph import Call, Graph
from cnnexplain.model.structure.linear_parts import linear_part

if TYPE_CHECKING:
    from jaxtyping import Float64

ROWS = 24
"""The number of sets of probabilities for which the output is computed."""

TOLERANCE = 1e-3
"""The difference due to rounding between equal values, relative to the largest."""


@dataclass(frozen=True)
class Mixture:
    """An output that is computed from probabilities.

    Args:
        sources: The calls that return the probabilities; no layers with weights follow them.
        activations: The activations at their ends: "softmax", "sigmoid", or the name of another.
        low: The lower bound of the output.
        high: The upper bound of the output.
        index: The index of the output.
        layer: The name of a layer that returns all probabilities, one for each value of the output, so that the model could
            end there; None if there is none.
    """

    sources: tuple[Call, ...]
    activations: tuple[str, ...]
    low: float
    high: float
    index: int
    layer: str | None

    @property
    def probable(self) -> bool:
        """Whether the output itself may be probabilities."""
        return self.low > -TOLERANCE and self.high < 1 + TOLERANCE

    def __str__(self) -> str:
        """The outputs as text, such as "computed from the softmax of layer 'scores' and go from 0 to 100"."""
        kinds = " and the ".join(dict.fromkeys(self.activations))
        names = list(dict.fromkeys(f"'{line(call.name, 80)}'" for call in self.sources))
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        of = f"layers {', '.join(names[:3])}{more}" if len(names) > 1 else f"layer {names[0]}"
        return f"computed from the {kinds} of {of} and go from {self.low:.4g} to {self.high:.4g}"

    @property
    def remedy(self) -> str:
        """How to change the model so that its output is probabilities."""
        if self.layer is not None and self.activations[0] in PROBABILISTIC:
            end = f"model.get_layer('{self.layer}').output"
            return f"End the model in that layer: cx.load(keras.Model(model.inputs, {end}))"
        return rescaled(self.low, self.high, self.index)


def rescaled(low: float, high: float, index: int) -> str:
    """How to scale a model's output of a range, given by its index, to probabilities."""
    end = f"model.outputs[{index}]"
    shifted = f"({end} {'-' if low > 0 else '+'} {abs(low):.4g})" if abs(low) > TOLERANCE * high else end
    return f"Scale them: cx.load(keras.Model(model.inputs, {shifted} / {high - low:.4g}), probabilities=True)"


def mixture(graph: Graph, end: Any) -> Mixture | None:
    """The probabilities that an output is computed from; None if there are other inputs, or if the output is scores again.

    Args:
        graph: The model.
        end: One of its symbolic tensors.
    """
    producers = {id(tensor): call for call in graph.calls for tensor in keras.tree.flatten(call.output)}
    sources: list[_Source] = []
    between: set[int] = set()
    left, seen, weights_between = [end], set(), False
    while left:
        tensor = left.pop()
        if id(tensor) in seen:
            continue
        seen.add(id(tensor))
        call = producers.get(id(tensor))
        # The image, or a fixed input.
        if call is None or None in tensor.shape[1:]:
            return None
        squashed, weighted = _squashing(call, tensor), bool(getattr(call.inner, "weights", None))
        if squashed is not None:
            sources.append(_Source(call, tensor, squashed))
        elif not call.sources or (weighted and not _linear(call.inner)):
            return None
        else:
            weights_between = weights_between or weighted
            between.add(id(call))
            left += call.sources
    rows = _outputs([call for call in graph.calls if id(call) in between], sources, end)
    # A product of probabilities and weights is scores, unless the weights average the probabilities.
    if rows is None or (weights_between and (rows.min() < 0 or np.ptp(rows.sum(axis=1)) > TOLERANCE * rows.max())):
        return None
    sources.sort(key=lambda each: graph.calls.index(each.call))
    calls, names = zip(*((each.call, each.squashing.name) for each in sources), strict=True)
    layer = sources[0].layer(graph) if len(sources) == 1 and sources[0].size == math.prod(end.shape[1:]) else None
    return Mixture(calls, names, float(rows.min()), float(rows.max()), graph.output_index, layer)


@dataclass(frozen=True, eq=False)
class _Source:
    """A tensor of probabilities, or of a multiple of them, and the call that returns it."""

    call: Call
    tensor: Any
    squashing: Squashing

    @property
    def size(self) -> int:
        """The number of its values for an image."""
        return math.prod(self.tensor.shape[1:])

    def layer(self, graph: Graph) -> str | None:
        """The name of the layer that returns it; None if that is an operation, nested, or called several times."""
        inner = self.call.inner
        once = sum(call.inner is inner for call in graph.calls) == 1
        return inner.name if isinstance(inner, keras.Layer) and inner.name == self.call.name and once else None

    def sample(self, row: int, random: np.random.Generator) -> Float64[np.ndarray, " ..."]:
        """Random probabilities, in the shape of the tensor for one image."""
        shape = tuple(self.tensor.shape[1:])
        classes = max(shape, default=1) if max(shape, default=1) == math.prod(shape) else shape[-1]
        values = random.uniform(0, 1, (math.prod(shape) // classes, classes))
        # Every third row has a single class, the same for all sources.
        single = np.arange(classes) == row // 3 % classes
        if self.squashing.sums_to_high:
            values = values**4 / (values**4).sum(axis=1, keepdims=True)
            values = np.where(row % 3, values, single)
        else:
            values = [np.full_like(values, row % 2), values, np.round(values)][row % 3]
        return np.asarray(self.squashing.high * values, np.float64).reshape(shape)


def _squashing(call: Call, tensor: Any) -> Squashing | None:
    """How a call maps scores to probabilities or a multiple of them; None if it does not."""
    if getattr(call.inner, "weights", None):
        activation = getattr(call.inner, "activation", None)
        return squashing(activation, tuple(tensor.shape[1:])) if callable(activation) else None
    if len(call.sources) != 1 or None in call.sources[0].shape[1:]:
        return None
    (source,) = call.sources
    dtype = keras.backend.standardize_dtype(source.dtype)
    return squashing(partial(call.with_input, source), tuple(source.shape[1:]), dtype)


def _linear(layer: Any) -> bool:
    """Whether a layer only multiplies by weights and adds a bias."""
    return linear_part(layer) is not None and is_linear(getattr(layer, "activation", None))


def _outputs(calls: list[Call], sources: list[_Source], end: Any) -> Float64[np.ndarray, "rows n"] | None:
    """The outputs of calls for several sets of probabilities; None if they are scores, or all equal."""
    if ROWS * (sum(source.size for source in sources) + math.prod(end.shape[1:])) > MOST_VALUES:
        return None
    random = np.random.default_rng(0)
    rows = [np.concatenate([source.sample(row, random).ravel() for source in sources]) for row in range(ROWS)]
    outcome = evaluate(_function(calls, sources, end), np.stack([*rows, (rows[1] + rows[2]) / 2]))
    if outcome is None or not np.isfinite(outcome[0]).all():
        return None
    outputs, tolerance = outcome[0].reshape(ROWS + 1, -1), max(outcome[1], TOLERANCE)
    largest = np.abs(outputs).max()
    linear = np.allclose(outputs[-1], (outputs[1] + outputs[2]) / 2, rtol=0, atol=tolerance * largest)
    # A logarithm is negative and not linear.
    if np.ptp(outputs) <= tolerance * largest or (outputs.min() < -tolerance * largest and not linear):
        return None
    return outputs


def _function(calls: list[Call], sources: list[_Source], end: Any) -> Callable[[Any], Any]:
    """A function from the concatenated values (N, n) of the sources to the end."""

    def function(x: Any) -> Any:
        tensors: dict[int, Any] = {}
        start = 0

        def substituted(leaf: Any) -> Any:
            return tensors.get(id(leaf), leaf)

        for source in sources:
            part = keras.ops.reshape(x[:, start : start + source.size], (-1, *source.tensor.shape[1:]))
            tensors[id(source.tensor)], start = keras.ops.cast(part, source.tensor.dtype), start + source.size
        for call in calls:
            args, kwargs = keras.tree.map_structure(substituted, (call.args, call.kwargs))
            outputs = keras.tree.flatten(call.function(*args, **kwargs))
            tensors |= dict(zip(map(id, keras.tree.flatten(call.output)), outputs, strict=True))
        return tensors[id(end)]

    return function
