"""ReLUs that also pass gradients that would activate them, so that an ascent can start where all gradients are 0."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from cnnexplain.model.computation.rules import LayerCall, with_pullback


def relu_override(call: LayerCall) -> Callable[..., Any] | None:
    """The rule by which constant ReLUs pass gradients that move them towards their slope; other layers pass the gradient.

    With R the incoming gradient of the value to increase and x the input of a ReLU: for x < 0 it passes R where R > 0, which
    increases x; at or above a ceiling, such as that of ReLU6, it passes R where R < 0, which decreases x.
    """
    activation = call.activation
    if activation is None or not activation.relu:
        return None
    ceiling = activation.ceiling

    def pull(x: Any, signal: Any) -> Any:
        passes = keras.ops.logical_or(x > 0, signal > 0)
        if ceiling is not None:
            passes = keras.ops.logical_and(passes, keras.ops.logical_or(x < ceiling, signal < 0))
        return keras.ops.where(passes, signal, keras.ops.zeros_like(signal))

    relu = with_pullback(activation.function, pull)
    # The argument may be passed by name.
    return lambda *args, **kwargs: relu(call.before(*args, *kwargs.values()))
