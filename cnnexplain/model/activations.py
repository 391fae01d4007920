"""What is known of activations: which are ReLUs, which work number by number, and which are clipped.

A clipped activation, such as ReLU6, returns the same for all that lies beyond its bound, so that it can't tell which of two
units is the stronger; what they would return without the clip tells it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np

from cnnexplain.model import layer_kinds, recognition
from cnnexplain.model.graph import Call, Twin
from cnnexplain.model.layer_kinds import ELEMENTWISE, OPERATIONS, RELUS, SATURATING, Known
from cnnexplain.model.linear_parts import Linear, linear_part

FUNCTIONS = {getattr(keras.activations, name): name for name in ELEMENTWISE}
"""The activations of Keras that work number by number, with their names."""


@dataclass(frozen=True)
class Activation:
    """The activation in which a layer or operation ends.

    Args:
        name: What Keras calls it.
        given: What it is given, computed of what the layer is given.
        function: What it makes of that, number by number.
        relu: Whether it is a ReLU: 0 up to 0, then the identity up to its ceiling.
        ceiling: The value above which a ReLU is flat; None where there is none.
        unclipped: Where it is clipped, makes a layer that returns the same where it isn't, and goes on where it is.
        ranking: Makes a layer that never returns the same for two inputs where the activation saturates, and whose outputs
            have the order of the activation's; None where units are ranked by the activation itself.
    """

    name: str
    given: Callable[..., Any]
    function: Callable[[Any], Any]
    relu: bool = False
    ceiling: float | None = None
    unclipped: Callable[[], Any] | None = None
    ranking: Callable[[], Any] | None = None


def activation(call: Call) -> Activation | None:
    """The activation that a call ends in; None where it has none, or one of which nothing is known."""
    layer, kind = call.inner, type(call.inner).__name__
    # A class of someone else's may have any name.
    if isinstance(call.function, Linear) or not layer_kinds.is_keras(layer):
        return None
    if kind == "ReLU":
        slope, threshold, ceiling = layer.negative_slope, layer.threshold, layer.max_value
        own = (lambda: keras.layers.ReLU(negative_slope=slope, threshold=threshold)) if ceiling is not None else None
        relu = not slope and not threshold
        return Activation("relu", _first, call.function, relu, ceiling if relu else None, own, own)
    # Numbers that have bounds of their own are not all of one activation.
    if kind == "Clip" and (np.ndim(layer.x_min) or np.ndim(layer.x_max)):
        return None
    if kind == "Clip":
        relu = layer.x_min == 0
        own = keras.layers.ReLU if relu else keras.layers.Identity
        return Activation("clip", _first, call.function, relu, layer.x_max if relu else None, own, own)
    if layer_kinds.of(layer) & Known.ACTIVATION and kind != "Activation":
        return _known(OPERATIONS.get(kind, kind), _first, call.function)
    function: Any = getattr(layer, "activation", None)
    if kind == "Lambda" and not layer.arguments:
        function = layer.function
    given = _first if kind in ("Activation", "Lambda") else linear_part(layer)
    computed = None if given is None or function is None else recognition.elementwise(function, FUNCTIONS)
    if given is None or computed is None or computed.name == "linear":
        return None
    return _known(computed.name, given, function, computed.ceiling)


def is_linear(function: Any) -> bool:
    """Whether the activation of a layer leaves numbers as they are, as `tf.identity` does."""
    if function is None or function is keras.activations.linear:
        return True
    computed = recognition.elementwise(function, FUNCTIONS)
    return computed is not None and computed.name == "linear"


CLIPPED: dict[str, Callable[[], Any]] = {
    "relu6": keras.layers.ReLU,
    "hard_sigmoid": lambda: keras.layers.Rescaling(1 / 6, 0.5),
    "hard_tanh": keras.layers.Identity,
}
"""Activations with a bound that they reach, each with what makes a layer that is the same without it."""


def _known(name: str, given: Callable[..., Any], function: Callable[[Any], Any], ceiling: float | None = None) -> Activation:
    unclipped = CLIPPED.get(name) if ceiling is None else keras.layers.ReLU
    ranking = keras.layers.Identity if name in SATURATING else unclipped
    ceiling = RELUS.get(name) if ceiling is None else ceiling
    return Activation(name, given, function, name in RELUS, ceiling, unclipped, ranking)


def _first(x: Any, *_: Any) -> Any:
    return x


def unclipped(twin: Twin, names: Sequence[str], *, ranking: bool) -> tuple[Twin, dict[str, str]]:
    """The twin with the outputs of some layers computed a second time, without the clips of the activations they end in.

    A layer ends in its activation, and where it only picks from others, as max-pooling and concatenation do, in theirs.

    Args:
        twin: The model.
        names: The layers.
        ranking: Whether only the order of the outputs matters, so that smooth activations which saturate are left out too.

    Returns:
        The twin with more calls, and for each of the layers that is clipped the name of its second output in `tensors`.
    """
    calls = {id(call.output): call for call in twin.calls}
    made: dict[int, Any] = {}
    more: list[Call] = []

    def add(call: Call, inner: Any, function: Callable[..., Any], args: Any, kwargs: Any, like: Any) -> Any:
        output = keras.KerasTensor(like.shape, like.dtype)
        more.append(replace(call, inner=inner, function=function, args=args, kwargs=kwargs, output=output))
        return output

    def lifted(tensor: Any) -> Any:
        if id(tensor) not in made:
            made[id(tensor)] = _lifted(tensor)
        return made[id(tensor)]

    def _lifted(tensor: Any) -> Any:
        call = calls.get(id(tensor))
        if call is None:
            return tensor
        found = activation(call)
        layer = None if found is None else found.ranking if ranking else found.unclipped
        if found is not None and layer is not None:
            before = call.sources[0]
            if isinstance(found.given, Linear):
                # The layer in two parts, as the scores before a softmax are.
                before = add(call, call.inner, found.given, (before,), {}, tensor)
            return add(call, own := layer(), own, (before,), {}, tensor)
        sources = call.sources
        if not layer_kinds.of(call.inner) & Known.PICKS or all(lifted(source) is source for source in sources):
            return tensor
        args, kwargs = keras.tree.map_structure(
            lambda leaf: lifted(leaf) if keras.utils.is_keras_tensor(leaf) else leaf, (call.args, call.kwargs)
        )
        return add(call, call.inner, call.function, args, kwargs, tensor)

    ends = {name: lifted(twin.tensors[name]) for name in dict.fromkeys(names)}
    seconds = {f"{name}, unclipped": end for name, end in ends.items() if end is not twin.tensors[name]}
    found = {name: f"{name}, unclipped" for name in ends if f"{name}, unclipped" in seconds}
    return replace(twin, calls=(*twin.calls, *more), tensors={**twin.tensors, **seconds}), found
