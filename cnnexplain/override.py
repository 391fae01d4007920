"""ReLUs that let pass what brings them back to where they have a gradient: how an ascent begins where all of it is 0."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras

from cnnexplain import backend
from cnnexplain.twin import Call, Twin, linear_part

CEILINGS = {keras.activations.relu: None, keras.activations.relu6: 6.0}
"""The activations that are ReLUs, each with the value above which it is flat."""


def overridden(twin: Twin, names: Sequence[str]) -> Callable[[Any], list[Any]]:
    """What maps the input to the outputs of layers, its ReLUs having another pull-back where they are flat.

    With R the gradient from above of what is to grow and x what a ReLU was given: at x < 0 what raises x passes, R where
    R > 0, and at or above a ceiling, such as ReLU6 has, what lowers it, R where R < 0. All else passes as the gradient does.
    """
    return twin.function(names, _overridden)


def _overridden(call: Call) -> Callable[..., Any]:
    layer, kind = call.inner, type(call.inner).__name__
    activation: Any = getattr(layer, "activation", None)
    if kind in ("Relu", "Relu6"):
        return _passing(call.function, 6.0 if kind == "Relu6" else None)
    if isinstance(layer, keras.layers.ReLU) and not layer.negative_slope and not layer.threshold:
        return _passing(call.function, layer.max_value)
    if isinstance(layer, keras.layers.Activation) and activation in CEILINGS:
        return _passing(activation, CEILINGS[activation])
    linear = linear_part(layer) if activation in CEILINGS else None
    if linear is None:
        return call.function
    relu = _passing(activation, CEILINGS[activation])
    return lambda *args, **kwargs: relu(linear(*args, *kwargs.values()))


def _passing(relu: Callable[[Any], Any], ceiling: float | None) -> Callable[..., Any]:
    def pull(x: Any, signal: Any) -> Any:
        passes = keras.ops.logical_or(x > 0, signal > 0)
        if ceiling is not None:
            passes = keras.ops.logical_and(passes, keras.ops.logical_or(x < ceiling, signal < 0))
        # A layer may put out another precision than it is given.
        return keras.ops.cast(keras.ops.where(passes, signal, keras.ops.zeros_like(signal)), x.dtype)

    passing = backend.current().with_pullback(relu, pull)
    # The one thing that a ReLU is given may come by name.
    return lambda *args, **kwargs: passing(*args, *kwargs.values())
