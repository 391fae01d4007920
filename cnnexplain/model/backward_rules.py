"""The rules by which a signal passes an activation on its way from a layer to the pixels; all else passes as the gradient.

With R the signal from above and x what the ReLU was given: the gradient keeps R where x > 0, the deconvnet (Zeiler & Fergus
2014, arXiv:1311.2901, section 2.1) where R > 0, guided back-propagation (Springenberg et al. 2014, arXiv:1412.6806, section
3.4) where both hold. The gradient of max-pooling is the deconvnet's unpooling with switches, that of a convolution its
transposed filters.

Guided back-propagation is defined for any activation f that works number by number: the slope of a ReLU is positive where
x > 0, and R · f′(x) is kept where both factors are positive. The rule of the deconvnet stands for ReLUs alone: it takes the
signal for feature maps, which are never negative.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras

from cnnexplain import backend
from cnnexplain.errors import ModelError, UsageError, suggest
from cnnexplain.model.activations import activation, is_linear, unclipped
from cnnexplain.model.graph import Call, Linear, Twin
from cnnexplain.model.token_grid import MOVING, RESIZING

RULES: dict[str, Callable[[Any, Any], Any]] = {
    "deconvnet": lambda _, signal: signal * _mask(signal > 0, signal),
    "guided": lambda active, signal: signal * active * _mask(signal > 0, signal),
    "gradient": lambda active, signal: signal * active,
}
"""What passes a ReLU downwards: (1 where it is active, else 0; the signal from above) ↦ the signal below."""

FORMULAS = {"deconvnet": "R where R > 0", "guided": "R where R > 0 and x > 0", "gradient": "R where x > 0"}
"""The same in words, R being the signal and x what the ReLU was given."""

LINEAR = (
    *("Add", "Average", "Concatenate", "Subtract"),
    *("Conv2D", "Conv2DTranspose", "Dense", "DepthwiseConv2D", "SeparableConv2D"),
    *("AdaptiveAveragePooling2D", "AdaptiveMaxPooling2D", "AveragePooling2D", "MaxPooling2D"),
    *("GlobalAveragePooling1D", "GlobalAveragePooling2D", "GlobalMaxPooling1D", "GlobalMaxPooling2D"),
    *("AveragePool", "MaxPool", "Max", "ExtractPatches"),
    *("BatchNormalization", "LayerScale", "Normalization", "Rescaling"),
    *("CenterCrop", "Flatten", "Ravel", "Mean", "Negative", "Sum"),
    *MOVING,
    *RESIZING,
)
"""Layers, and operations such as `x + y`, through which all rules agree: linear in inference mode, or a maximum's choice."""

FACTORS = ("Divide", "Multiply", "TrueDivide")
"""Operations that are linear where they are given one tensor alone, as `x / 255` is."""

SMOOTH = ("Multiply", "LayerNormalization", "GroupNormalization")
"""Layers that are neither linear nor activations, through which guided back-propagation passes as the gradient does."""


def ruled(twin: Twin, names: Sequence[str], rule: str) -> Callable[[Any], list[Any]]:
    """What maps the input to the outputs of some layers, their activations having the rule as their pull-back.

    Where a layer itself ends in a clipped activation, its output is that without the clip, so that the strongest units,
    which the clip makes flat, have a pull-back too.

    Raises:
        UsageError: There is no such rule.
        ModelError: The rule is not defined for a layer on the way.
    """
    for name in names:
        describe(twin, name, rule)
    whole, seconds = unclipped(twin, names, ranking=False)
    ends = [seconds.get(name, name) for name in names]
    return whole.function(
        ends, None if rule == "gradient" else lambda call: _ruled(call, rule) if twin.sees(call) else call.function
    )


def describe(twin: Twin, name: str, rule: str) -> str:
    """What a rule does at the layers on the way from a layer to the pixels, a phrase with R the signal from above.

    Raises:
        UsageError: There is no such rule.
        ModelError: It is not defined for a layer on the way, which is named.
    """
    if rule not in RULES:
        raise UsageError(f"There is no rule '{rule}'.{suggest(rule, RULES)} The rules are {', '.join(RULES)}.")
    calls = [call for call in twin.ancestors([name]) if twin.sees(call)]
    if rule != "gradient":
        for call in calls:
            _ruled(call, rule)
    found = [each for each in map(activation, calls) if each is not None]
    others = dict.fromkeys(each.name for each in found if not each.relu)
    smooth = dict.fromkeys(type(call.inner).__name__ for call in calls if activation(call) is None and not _linear(call))
    words = [f"{FORMULAS[rule]} at ReLUs"] if any(each.relu for each in found) else []
    if others:
        slopes = "R · f′(x) where both factors are positive" if rule == "guided" else "R · f′(x)"
        words.append(f"{slopes} at other activations ({', '.join(others)})")
    if smooth:
        words.append(f"the gradient at {', '.join(smooth)}")
    return ", ".join(words) or "the gradient, as there is no activation"


def _ruled(call: Call, rule: str) -> Callable[..., Any]:
    found = activation(call)
    if found is not None and (found.relu or rule == "guided"):
        passing = _passing(found.function, RULES[rule], found.ceiling) if found.relu else _positive(found.function)
        # What an activation or layer is given may come by name.
        return lambda *args, **kwargs: passing(found.given(*args, *kwargs.values()))
    kind = type(call.inner).__name__
    if found is None and (_linear(call) or (rule == "guided" and _keras(call) and kind in SMOOTH)):
        return call.function
    which = f"The layer '{call.name}' ({_described(call)}) is "
    if found is not None:
        raise ModelError(
            f"{which}an activation other than ReLU, for which the rule 'deconvnet' is not defined. Use the rule 'guided', "
            "which goes by the sign of its slope, or 'gradient', or name a layer before it."
        )
    raise ModelError(
        f"{which}neither an activation that works number by number nor known to pass a signal as its gradient does, so that "
        f"the rule '{rule}' may not do what it is defined to do. Name a layer before it, or use the rule 'gradient'."
    )


def _keras(call: Call) -> bool:
    """Whether a layer is of Keras itself: a class of someone else's may have any name."""
    return type(call.inner).__module__.partition(".")[0] == "keras"


def _linear(call: Call) -> bool:
    """Whether all rules agree on a call that ends in no known activation."""
    if isinstance(call.function, Linear):
        return True
    kind, plain = type(call.inner).__name__, is_linear(getattr(call.inner, "activation", None))
    return _keras(call) and ((kind in (*LINEAR, "Activation") and plain) or (kind in FACTORS and len(call.sources) == 1))


def _described(call: Call) -> str:
    kind, function = type(call.inner).__name__, getattr(call.inner, "activation", None)
    name = getattr(function, "__name__", type(function).__name__)
    return kind if is_linear(function) else f"{kind} with activation '{name}'"


def _passing(relu: Callable[[Any], Any], rule: Callable[[Any, Any], Any], ceiling: float | None) -> Callable[[Any], Any]:
    """A ReLU with a rule as its pull-back."""

    def pull(x: Any, signal: Any) -> Any:
        below = x > 0 if ceiling is None else keras.ops.logical_and(x > 0, x < ceiling)
        # A layer may put out another precision than it is given.
        return keras.ops.cast(rule(_mask(below, signal), signal), x.dtype)

    return backend.current().with_pullback(relu, pull)


def _positive(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """An activation whose pull-back is R · f′(x) where R and f′(x) are positive, and 0 elsewhere.

    What comes down is made positive above it and below it: max(max(R, 0) · f′(x), 0).
    """
    gate = backend.current().with_pullback(
        lambda x: keras.ops.multiply(x, 1), lambda _, signal: keras.ops.maximum(signal, 0)
    )
    return lambda x: gate(function(gate(x)))


def _mask(condition: Any, like: Any) -> Any:
    return keras.ops.cast(condition, like.dtype)
