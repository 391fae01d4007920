"""Batch normalizations computed by the convolutions before them, in inference mode."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
from keras import ops

from cnnexplain.model.structure.activations import is_linear
from cnnexplain.model.structure.graph import Call, Graph
from cnnexplain.model.structure.linear_parts import PRODUCTS, linear_part

FOLDED = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)


def folded(graph: Graph, names: Sequence[str]) -> Graph:
    """A graph with the same outputs, except for rounding, in which convolutions also normalize their outputs.

    A normalization reads and writes a whole feature map, and so does its gradient. With scaled kernels and another bias, the
    convolution before it returns the same values. The kernels are scaled when this function is called: within the function
    that is compiled, but before a loop.

    Args:
        graph: The graph.
        names: The names of the outputs, as in `Graph.tensors`.
    """
    outputs = {id(graph.tensors[name]) for name in names}
    changed: dict[int, Call] = {}
    for call in graph.ancestors(names):
        following = graph.consumers(call.output) if _convolves(call) and id(call.output) not in outputs else []
        if len(following) == 1 and _normalizes_channels(following[0]):
            computed = _normalizing(call.inner, following[0].inner)
            changed[id(call)] = replace(call, function=computed, kwargs={})
            changed[id(following[0])] = replace(following[0], function=_same, kwargs={})
    return replace(graph, calls=tuple(changed.get(id(call), call) for call in graph.calls))


@dataclass(frozen=True)
class Convolution:
    """What `PRODUCTS` needs of a convolution, with kernels of its own."""

    kernel: Any
    strides: tuple[int, ...]
    dilation_rate: tuple[int, ...]
    data_format: str


def _normalizing(layer: Any, normalization: Any) -> Callable[[Any], Any]:
    """A convolution followed by a normalization, as one convolution."""
    scale = ops.rsqrt(normalization.moving_variance + normalization.epsilon)
    if normalization.scale:
        scale = scale * normalization.gamma
    bias = -normalization.moving_mean if layer.bias is None else layer.bias - normalization.moving_mean
    bias = bias * scale + normalization.beta if normalization.center else bias * scale
    # The kernels of a depthwise convolution are (rows, columns, channels, multiplier).
    scales = ops.reshape(scale, layer.kernel.shape[2:]) if isinstance(layer, keras.layers.DepthwiseConv2D) else scale
    scaled = Convolution(layer.kernel * scales, layer.strides, layer.dilation_rate, layer.data_format)
    return lambda x: PRODUCTS[type(layer)](scaled, x, layer.padding) + bias


def _convolves(call: Call) -> bool:
    layer = call.inner
    return _is_plain(call, FOLDED) and linear_part(layer) is not None and is_linear(layer.activation)


def _normalizes_channels(call: Call) -> bool:
    layer = call.inner
    # The axis may be counted from the end; renormalization does not differ in inference mode.
    return _is_plain(call, (keras.layers.BatchNormalization,)) and layer.axis in (-1, 3)


def _is_plain(call: Call, kinds: Sequence[type]) -> bool:
    """Whether a call is that of a layer of Keras, in single precision, with no argument but its input."""
    unset = all(value is None or value is False for value in call.kwargs.values())
    plain = type(call.inner) in kinds and len(call.args) == 1 and unset
    # In mixed precision, the layers round their inputs.
    return plain and call.inner.compute_dtype == call.sources[0].dtype == "float32"


def _same(x: Any) -> Any:
    return x
