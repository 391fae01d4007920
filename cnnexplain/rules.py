"""The rules by which a signal passes a ReLU on its way from a layer to the pixels; all else passes as the gradient does.

With R the signal from above and x what the ReLU was given: the gradient keeps R where x > 0, the deconvnet (Zeiler & Fergus
2014, arXiv:1311.2901, section 2.1) where R > 0, guided back-propagation (Springenberg et al. 2014, arXiv:1412.6806, section
3.4) where both hold. The gradient of max-pooling is the deconvnet's unpooling with switches, that of a convolution its
transposed filters.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from cnnexplain import backend
from cnnexplain.errors import ModelError, UsageError, suggest
from cnnexplain.twin import IDLE, Call, Linear, Twin, linear_part

RULES: dict[str, Callable[[Any, Any], Any]] = {
    "deconvnet": lambda _, signal: signal * _mask(signal > 0, signal),
    "guided": lambda active, signal: signal * active * _mask(signal > 0, signal),
    "gradient": lambda active, signal: signal * active,
}
"""What passes a ReLU downwards: (1 where it is active, else 0; the signal from above) ↦ the signal below."""

LINEAR = (
    *("Add", "Average", "Concatenate", "Subtract"),
    *("Conv2D", "Conv2DTranspose", "Dense", "DepthwiseConv2D", "SeparableConv2D"),
    *("AveragePooling2D", "GlobalAveragePooling2D", "GlobalMaxPooling2D", "MaxPooling2D"),
    *("BatchNormalization", "Normalization", "Rescaling"),
    *("Cropping2D", "Flatten", "Permute", "Reshape", "UpSampling2D", "ZeroPadding2D"),
    *("ExpandDims", "GetItem", "Mean", "Negative", "Split", "Squeeze", "Sum", "Transpose"),
    *IDLE,
)
"""Layers, and operations such as `x + y`, through which all rules agree: linear in inference mode, or a maximum's choice."""

FACTORS = ("Divide", "Multiply", "TrueDivide")
"""Operations that are linear where they are given one tensor alone, as `x / 255` is."""


def ruled(twin: Twin, name: str, rule: str) -> Callable[[Any], Any]:
    """What maps the input to the output of layer `name`, its ReLUs having the rule as their pull-back.

    Raises:
        UsageError: There is no such rule.
        ModelError: A layer on the way is neither a ReLU nor one through which all rules agree.
    """
    if rule not in RULES:
        raise UsageError(f"There is no rule '{rule}'.{suggest(rule, RULES)} The rules are {', '.join(RULES)}.")
    # The gradient passes every layer as it is.
    outputs = twin.function([name], None if rule == "gradient" else lambda call: _ruled(call, RULES[rule]))
    return lambda x: outputs(x)[0]


def _ruled(call: Call, rule: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    layer, kind = call.inner, type(call.inner).__name__
    if isinstance(call.function, Linear):
        return call.function
    # A class of someone else's may have any name.
    ours = type(layer).__module__.partition(".")[0] == "keras"
    if ours and kind in ("Relu", "Relu6"):
        return _passing(call.function, rule, 6.0 if kind == "Relu6" else None)
    if ours and kind == "ReLU" and not layer.negative_slope and not layer.threshold:
        return _passing(call.function, rule, layer.max_value)
    activation = getattr(layer, "activation", keras.activations.linear)
    if ours and (kind in LINEAR or kind == "Activation") and activation in CEILINGS:
        linear = (lambda x: x) if kind == "Activation" else linear_part(layer)
        if linear is not None:
            relu = _passing(activation, rule, CEILINGS[activation])
            return lambda *args, **kwargs: relu(linear(*args, *kwargs.values()))
    if ours and kind in LINEAR and activation is keras.activations.linear:
        return call.function
    if ours and kind in FACTORS and len(call.sources) == 1:
        return call.function
    raise ModelError(
        f"The layer '{call.name}' ({_described(kind, activation)}) is neither a ReLU nor known to pass a signal as its "
        "gradient does, so that the rules for ReLUs might give something else than they say. Name a layer before it, or use "
        "the rule 'gradient'."
    )


CEILINGS = {keras.activations.relu: None, keras.activations.relu6: 6.0}
"""The activations that are ReLUs, each with the value above which it is flat."""


def _described(kind: str, activation: Any) -> str:
    name = getattr(activation, "__name__", str(activation))
    return kind if activation is keras.activations.linear else f"{kind} with activation '{name}'"


def _passing(relu: Callable[[Any], Any], rule: Callable[[Any, Any], Any], ceiling: float | None) -> Callable[..., Any]:
    def pull(x: Any, signal: Any) -> Any:
        below = x > 0 if ceiling is None else keras.ops.logical_and(x > 0, x < ceiling)
        # A layer may put out another precision than it is given.
        return keras.ops.cast(rule(_mask(below, signal), signal), x.dtype)

    passing = backend.current().with_pullback(relu, pull)
    # The one thing that a ReLU is given may come by name.
    return lambda *args, **kwargs: passing(*args, *kwargs.values())


def _mask(condition: Any, like: Any) -> Any:
    return keras.ops.cast(condition, like.dtype)
