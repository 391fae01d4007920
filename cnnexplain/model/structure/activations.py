"""The activations of layers: which are ReLUs, which are elementwise, and which are clipped.

A clipped activation, such as ReLU6, is constant beyond its bound, so that its outputs do not show which of two units is
stronger; the outputs without the clip do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np

from cnnexplain.model.structure import layer_kinds, recognition
from cnnexplain.model.structure.graph import Call, Graph
from cnnexplain.model.structure.layer_kinds import ELEMENTWISE, OPERATIONS, RELUS, SATURATING, Trait
from cnnexplain.model.structure.linear_parts import Linear, linear_part

FUNCTIONS = {getattr(keras.activations, name): name for name in ELEMENTWISE}
"""The elementwise activations of Keras, with their names."""


@dataclass(frozen=True)
class Activation:
    """The activation at the end of a layer or operation.

    Args:
        name: Its name in Keras.
        pre_activation: Computes the input of the activation from that of the layer.
        function: The elementwise activation.
        relu: Whether it is a ReLU: 0 for negative inputs, then the identity up to a ceiling.
        ceiling: The value above which a ReLU is constant; None if there is none.
        unclipped: For a clipped activation, returns a layer that is equal where it is not clipped and continues beyond.
        ranking: Returns a layer that orders units like the activation, and also distinguishes inputs for which the
            activation saturates; None if the activation itself ranks the units.
    """

    name: str
    pre_activation: Callable[..., Any]
    function: Callable[[Any], Any]
    relu: bool = False
    ceiling: float | None = None
    unclipped: Callable[[], Any] | None = None
    ranking: Callable[[], Any] | None = None


def activation(call: Call) -> Activation | None:
    """The activation at the end of a call; None if it has none, or an unknown one."""
    layer, kind = call.inner, type(call.inner).__name__
    # Classes that are not Keras' own may have any name.
    if isinstance(call.function, Linear) or not layer_kinds.is_keras(layer):
        return None
    if kind == "ReLU":
        slope, threshold, ceiling = layer.negative_slope, layer.threshold, layer.max_value
        own = (lambda: keras.layers.ReLU(negative_slope=slope, threshold=threshold)) if ceiling is not None else None
        relu = not slope and not threshold
        return Activation("relu", _first, call.function, relu, ceiling if relu else None, own, own)
    # With a bound for each unit, the units do not share one activation.
    if kind == "Clip" and (np.ndim(layer.x_min) or np.ndim(layer.x_max)):
        return None
    if kind == "Clip":
        relu = layer.x_min == 0
        own = keras.layers.ReLU if relu else keras.layers.Identity
        return Activation("clip", _first, call.function, relu, layer.x_max if relu else None, own, own)
    if layer_kinds.of(layer) & Trait.ACTIVATION and kind != "Activation":
        return _named(OPERATIONS.get(kind, kind), _first, call.function)
    function: Any = getattr(layer, "activation", None)
    if kind == "Lambda" and not layer.arguments:
        function = layer.function
    pre_activation = _first if kind in ("Activation", "Lambda") else linear_part(layer)
    computed = None if pre_activation is None or function is None else recognition.elementwise(function, FUNCTIONS)
    if pre_activation is None or computed is None or computed.name == "linear":
        return None
    return _named(computed.name, pre_activation, function, computed.ceiling)


def is_linear(function: Any) -> bool:
    """Whether the activation of a layer is the identity, such as `tf.identity`."""
    if function is None or function is keras.activations.linear:
        return True
    computed = recognition.elementwise(function, FUNCTIONS)
    return computed is not None and computed.name == "linear"


CLIPPED: dict[str, Callable[[], Any]] = {
    "relu6": keras.layers.ReLU,
    "hard_sigmoid": lambda: keras.layers.Rescaling(1 / 6, 0.5),
    "hard_tanh": keras.layers.Identity,
}
"""Activations with a bound that they reach, each with a function that returns a layer without the bound."""


def _named(
    name: str, pre_activation: Callable[..., Any], function: Callable[[Any], Any], ceiling: float | None = None
) -> Activation:
    unclipped = CLIPPED.get(name) if ceiling is None else keras.layers.ReLU
    ranking = keras.layers.Identity if name in SATURATING else unclipped
    ceiling = RELUS.get(name) if ceiling is None else ceiling
    return Activation(name, pre_activation, function, name in RELUS, ceiling, unclipped, ranking)


def _first(x: Any, *_: Any) -> Any:
    return x


def unclipped(graph: Graph, names: Sequence[str], *, ranking: bool) -> tuple[Graph, dict[str, str]]:
    """The graph with a second output for some layers, without the clips of the activations at their ends.

    The activation at the end of a layer that only selects values, such as max-pooling or concatenation, is that of the
    layers before.

    Args:
        graph: The model.
        names: The layers.
        ranking: Whether only the order of the outputs matters, so that smooth activations that saturate are left out too.

    Returns:
        The graph with more calls, and for each clipped layer the name of its second output in `tensors`.
    """
    calls = {id(call.output): call for call in graph.calls}
    computed: dict[int, Any] = {}
    more: list[Call] = []

    def add(call: Call, inner: Any, function: Callable[..., Any], args: Any, kwargs: Any, like: Any) -> Any:
        output = keras.KerasTensor(like.shape, like.dtype)
        more.append(replace(call, inner=inner, function=function, args=args, kwargs=kwargs, output=output))
        return output

    def without_clip(tensor: Any) -> Any:
        if id(tensor) not in computed:
            computed[id(tensor)] = _without_clip(tensor)
        return computed[id(tensor)]

    def _without_clip(tensor: Any) -> Any:
        call = calls.get(id(tensor))
        if call is None:
            return tensor
        final = activation(call)
        layer = None if final is None else final.ranking if ranking else final.unclipped
        if final is not None and layer is not None:
            before = call.sources[0]
            if isinstance(final.pre_activation, Linear):
                # The layer in two parts, as for the scores before a softmax.
                before = add(call, call.inner, final.pre_activation, (before,), {}, tensor)
            return add(call, own := layer(), own, (before,), {}, tensor)
        sources = call.sources
        if not layer_kinds.of(call.inner) & Trait.SELECTS or all(without_clip(source) is source for source in sources):
            return tensor
        args, kwargs = keras.tree.map_structure(
            lambda leaf: without_clip(leaf) if keras.utils.is_keras_tensor(leaf) else leaf, (call.args, call.kwargs)
        )
        return add(call, call.inner, call.function, args, kwargs, tensor)

    outputs = {name: without_clip(graph.tensors[name]) for name in dict.fromkeys(names)}
    seconds = {name: f"{name}, unclipped" for name, output in outputs.items() if output is not graph.tensors[name]}
    tensors = {**graph.tensors, **{second: outputs[name] for name, second in seconds.items()}}
    return replace(graph, calls=(*graph.calls, *more), tensors=tensors), seconds
