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
from cnnexplain.twin import Call, Twin, linear_part

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
    *("Cropping2D", "Flatten", "Identity", "Permute", "Reshape", "UpSampling2D", "ZeroPadding2D"),
    *("AlphaDropout", "Dropout", "GaussianDropout", "GaussianNoise", "SpatialDropout2D"),
)
"""Layers through which all rules agree: linear for one input in inference mode, or a choice of the maximum."""


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
    ours = type(layer) is getattr(keras.layers, kind, None)
    if ours and kind == "ReLU" and not layer.negative_slope and not layer.threshold:
        return _passing(call.function, rule, layer.max_value)
    activation = getattr(layer, "activation", keras.activations.linear)
    if ours and (kind in LINEAR or kind == "Activation") and activation in CEILINGS:
        linear = (lambda x: x) if kind == "Activation" else linear_part(layer)
        if linear is not None:
            relu = _passing(activation, rule, CEILINGS[activation])
            return lambda *args: relu(linear(*args))
    if ours and kind in LINEAR and activation is keras.activations.linear:
        return call.function
    raise ModelError(
        f"The layer '{call.name}' ({_described(kind, activation)}) is no ReLU, nor one through which a signal passes as "
        "its gradient: the rules for ReLUs would give something else than they say. Use an earlier layer."
    )


CEILINGS = {keras.activations.relu: None, keras.activations.relu6: 6.0}
"""The activations that are ReLUs, each with the value above which it is flat."""


def _described(kind: str, activation: Any) -> str:
    name = getattr(activation, "__name__", str(activation))
    return kind if activation is keras.activations.linear else f"{kind} with activation '{name}'"


def _passing(relu: Callable[[Any], Any], rule: Callable[[Any, Any], Any], ceiling: float | None) -> Callable[[Any], Any]:
    def pull(x: Any, signal: Any) -> Any:
        below = x > 0 if ceiling is None else keras.ops.logical_and(x > 0, x < ceiling)
        return rule(_mask(below, signal), signal)

    return backend.current().with_pullback(relu, pull)


def _mask(condition: Any, like: Any) -> Any:
    return keras.ops.cast(condition, like.dtype)
