"""ReLUs that let pass what brings them back to where they have a gradient: how an ascent begins where all of it is 0."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras

from cnnexplain import backend
from cnnexplain.model.activations import activation
from cnnexplain.model.graph import Call, Twin


def overridden(twin: Twin, names: Sequence[str]) -> Callable[[Any], list[Any]]:
    """What maps the input to the outputs of layers, its ReLUs having another pull-back where they are flat.

    With R the gradient from above of what is to grow and x what a ReLU was given: at x < 0 what raises x passes, R where
    R > 0, and at or above a ceiling, such as ReLU6 has, what lowers it, R where R < 0. All else passes as the gradient does.
    """
    return twin.function(names, _overridden)


def _overridden(call: Call) -> Callable[..., Any]:
    found = activation(call)
    if found is None or not found.relu:
        return call.function
    passing = _passing(found.function, found.ceiling)
    # What a ReLU or layer is given may come by name.
    return lambda *args, **kwargs: passing(found.given(*args, *kwargs.values()))


def _passing(relu: Callable[[Any], Any], ceiling: float | None) -> Callable[[Any], Any]:
    def pull(x: Any, signal: Any) -> Any:
        passes = keras.ops.logical_or(x > 0, signal > 0)
        if ceiling is not None:
            passes = keras.ops.logical_and(passes, keras.ops.logical_or(x < ceiling, signal < 0))
        # A layer may put out another precision than it is given.
        return keras.ops.cast(keras.ops.where(passes, signal, keras.ops.zeros_like(signal)), x.dtype)

    return backend.current().with_pullback(relu, pull)
