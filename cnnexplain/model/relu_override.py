"""ReLUs that let pass what brings them back to where they have a gradient: how an ascent begins where all of it is 0."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from cnnexplain.model.rules import LayerCall, with_pullback


def relu_override(call: LayerCall) -> Callable[..., Any] | None:
    """The rule by which ReLUs have another pull-back where they are flat; all else passes as the gradient does.

    With R the gradient from above of what is to grow and x what a ReLU was given: at x < 0 what raises x passes, R where
    R > 0, and at or above a ceiling, such as ReLU6 has, what lowers it, R where R < 0.
    """
    found = call.activation
    if found is None or not found.relu:
        return None
    ceiling = found.ceiling

    def pull(x: Any, signal: Any) -> Any:
        passes = keras.ops.logical_or(x > 0, signal > 0)
        if ceiling is not None:
            passes = keras.ops.logical_and(passes, keras.ops.logical_or(x < ceiling, signal < 0))
        return keras.ops.where(passes, signal, keras.ops.zeros_like(signal))

    relu = with_pullback(found.function, pull)
    # What a ReLU or layer is given may come by name.
    return lambda *args, **kwargs: relu(call.before(*args, *kwargs.values()))
