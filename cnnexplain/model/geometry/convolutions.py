"""The convolutions of a model, each with the batch normalization and activation that follow it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from cnnexplain.model.geometry.layers import Layer, Layers
from cnnexplain.model.structure import layer_kinds
from cnnexplain.model.structure.graph import Call, Graph
from cnnexplain.model.structure.layer_kinds import Trait

if TYPE_CHECKING:
    from jaxtyping import Float32


@dataclass(frozen=True)
class Convolution:
    """A convolution of a model.

    Args:
        inner: The Keras layer with the kernels as weights; it belongs to the model and must not be modified.
        layer: Its output.
        normalized: Its output after the batch normalization that follows; `layer` if there is none.
        activated: Its output after the activation that follows as well; `normalized` if there is none.
    """

    inner: Any
    layer: Layer
    normalized: Layer
    activated: Layer


def convolutions(layers: Layers) -> tuple[Convolution, ...]:
    """The convolutions in the order of computation; a shared one appears once for each call."""
    result = []
    graph, names = layers.graph, layers.names
    for call in graph.calls:
        if not layer_kinds.derives_from(call.inner, Trait.CONVOLUTION) or id(call.output) not in names:
            continue
        if id(call.output) in layers.layout.windows:
            continue
        output = normalized = call.output
        while (follower := _follower(graph, output)) is not None:
            if output is normalized and isinstance(follower.inner, keras.layers.BatchNormalization):
                normalized = follower.output
            output = follower.output
        outputs = (layers.find(names[id(tensor)]) for tensor in (call.output, normalized, output))
        result.append(Convolution(call.inner, *outputs))
    return tuple(result)


def activated(layers: Layers, name: str) -> str:
    """The layer at the end of the activation of a layer that has none itself, after its batch normalization.

    Returns:
        The name of that layer; `name` if no activation follows, as after the last convolution before a sum.

    Raises:
        UsageError: There is no such layer.
    """
    end = layers.find(name).name
    output = layers.graph.tensors[end]
    while (follower := _follower(layers.graph, output)) is not None:
        output = follower.output
        if type(follower.inner).__name__ != "BatchNormalization":
            end = layers.names.get(id(output), end)
    return end


def end_of_followers(graph: Graph, output: Any) -> Any:
    """The output of the last batch normalization or activation that follows a tensor; the tensor itself if none does."""
    while (follower := _follower(graph, output)) is not None:
        output = follower.output
    return output


def _follower(graph: Graph, output: Any) -> Call | None:
    """The batch normalization or activation that is the only call with a tensor as its input."""
    calls = graph.consumers(output)
    return calls[0] if len(calls) == 1 and layer_kinds.of(calls[0].inner) & Trait.FOLLOWS else None


def first_normalization(layers: Layers) -> tuple[str, Float32[np.ndarray, " C"], Float32[np.ndarray, " C"]] | None:
    """The layer before the first BatchNormalization, and the mean and variance of its channels that the model learned."""
    for call in layers.graph.calls:
        if isinstance(call.inner, keras.layers.BatchNormalization) and id(call.sources[0]) in layers.names:
            statistics = (call.inner.moving_mean, call.inner.moving_variance)
            mean, variance = (keras.ops.convert_to_numpy(each).astype(np.float32) for each in statistics)
            return layers.names[id(call.sources[0])], mean, variance + call.inner.epsilon
    return None
