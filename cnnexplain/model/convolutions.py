"""The convolutions of a model, each with the batch normalization and the activation that follow it alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from cnnexplain.model import layer_kinds
from cnnexplain.model.layer_kinds import Known
from cnnexplain.model.layers import Layer, Layers
from cnnexplain.types import Floats

CONVOLUTIONS = (
    keras.layers.Conv2D,
    keras.layers.DepthwiseConv2D,
    keras.layers.SeparableConv2D,
    keras.layers.Conv2DTranspose,
)


@dataclass(frozen=True)
class Convolution:
    """A convolution of a model.

    Args:
        inner: The Keras layer, whose weights are its kernels; it is the model's own and not to be changed.
        layer: Its output.
        normalized: The same after the batch normalization that follows alone; the layer itself where none does.
        activated: The same after the activation too, where one follows alone.
    """

    inner: Any
    layer: Layer
    normalized: Layer
    activated: Layer


def convolutions(layers: Layers) -> tuple[Convolution, ...]:
    """The convolutions in the order of computation; one that is used twice stands there twice."""
    found = []
    twin, names = layers.twin, layers.names
    for call in twin.calls:
        if not isinstance(call.inner, CONVOLUTIONS) or id(call.output) not in names:
            continue
        if id(call.output) in layers.layout.windows:
            continue
        output = normalized = call.output
        while len(after := twin.consumers(output)) == 1 and layer_kinds.of(after[0].inner) & Known.FOLLOWS:
            if output is normalized and isinstance(after[0].inner, keras.layers.BatchNormalization):
                normalized = after[0].output
            output = after[0].output
        here = (layers.find(names[id(tensor)]) for tensor in (call.output, normalized, output))
        found.append(Convolution(call.inner, *here))
    return tuple(found)


def activated(layers: Layers, name: str) -> str:
    """The layer that ends with the activation of a layer which has none itself, past its batch normalization.

    Returns:
        That layer; `name` itself where no activation follows alone, as after the last convolution before a sum.

    Raises:
        UsageError: There is no such layer.
    """
    found = layers.find(name).name
    output = layers.twin.tensors[found]
    while len(after := layers.twin.consumers(output)) == 1 and layer_kinds.of(after[0].inner) & Known.FOLLOWS:
        output = after[0].output
        if type(after[0].inner).__name__ != "BatchNormalization":
            found = layers.names.get(id(output), found)
    return found


def first_normalization(layers: Layers) -> tuple[str, Floats, Floats] | None:
    """The layer before the first BatchNormalization, and the mean and variance that were learned of its channels."""
    for call in layers.twin.calls:
        if isinstance(call.inner, keras.layers.BatchNormalization) and id(call.sources[0]) in layers.names:
            statistics = (call.inner.moving_mean, call.inner.moving_variance)
            mean, variance = (keras.ops.convert_to_numpy(each).astype(np.float32) for each in statistics)
            return layers.names[id(call.sources[0])], mean, variance + call.inner.epsilon
    return None
