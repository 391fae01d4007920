"""The built-in backward rules for ReLUs, and the application of any rule to a graph.

With R the incoming signal and x the input of the ReLU: the gradient keeps R where x > 0, the deconvnet (Zeiler & Fergus
2014, arXiv:1311.2901, section 2.1) where R > 0, guided backpropagation (Springenberg et al. 2014, arXiv:1412.6806, section
3.4) where both hold. The gradient of max-pooling is the deconvnet's unpooling with switches, and that of a convolution its
transposed filters.

Guided backpropagation is defined for any elementwise activation f: the slope of a ReLU is positive where x > 0, and R ·
f′(x) is kept where both factors are positive. The rule of the deconvnet is defined for ReLUs only: it treats the signal as
feature maps, which are never negative.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import keras

from cnnexplain.errors import ModelError, UsageError, shown, suggest
from cnnexplain.model.computation.rules import LayerCall, Rule, identity_with_pullback, with_pullback
from cnnexplain.model.structure import layer_kinds
from cnnexplain.model.structure.activations import activation, is_linear, unclipped
from cnnexplain.model.structure.graph import Call, Graph
from cnnexplain.model.structure.layer_kinds import Trait
from cnnexplain.model.structure.linear_parts import Linear, linear_part

RULES: dict[str, Callable[[Any, Any], Any]] = {
    "deconvnet": lambda _, signal: keras.ops.relu(signal),
    "guided": lambda active, signal: keras.ops.relu(signal) * active,
    "gradient": lambda active, signal: signal * active,
}
"""How ReLUs pass a signal back: (1 where the ReLU is active, else 0; incoming signal) ↦ outgoing signal."""

FORMULAS = {"deconvnet": "R where R > 0", "guided": "R where R > 0 and x > 0", "gradient": "R where x > 0"}
"""The rules as text, with R the signal and x the input of the ReLU."""


def backward(graph: Graph, names: Sequence[str], rule: str | Rule) -> Callable[[Any], list[Any]]:
    """A function from the image to the outputs of some layers, which passes signals back by a rule.

    Args:
        graph: The graph.
        names: The layers.
        rule: The name of one of `RULES`, or the rule of a plugin; see `cnnexplain.model.computation.rules`.

    Raises:
        UsageError: There is no such rule.
        ModelError: The rule is not defined for a layer between the input and the outputs.
    """
    of = named(rule) if isinstance(rule, str) else rule

    def changed(call: Call) -> Callable[..., Any]:
        return (of(layer_call(call)) if graph.depends_on_image(call) else None) or call.function

    return graph.function(names, changed)


def projected(graph: Graph, names: Sequence[str], rule: str | Rule) -> Callable[[Any], list[Any]]:
    """`backward` without the clips of activations at the ends of the layers.

    With its clip, the strongest units of a layer would be constant and pass no signal.

    Raises:
        UsageError: There is no such rule.
        ModelError: The rule is not defined for a layer between the input and the outputs.
    """
    if isinstance(rule, str):
        for name in names:
            describe(graph, name, rule)
    whole, seconds = unclipped(graph, names, ranking=False)
    return backward(whole, [seconds.get(name, name) for name in names], rule)


def layer_call(call: Call) -> LayerCall:
    """A call of the graph as a rule sees it."""
    final = activation(call)
    before = call.function if final is None else final.pre_activation
    linear: Callable[[Any], Any] | None = before if isinstance(before, Linear) else None
    if final is None and linear is None and is_linear(getattr(call.inner, "activation", None)):
        linear = linear_part(call.inner)
    return LayerCall(call.name, call.inner, len(call.sources), call.function, before, final, linear)


def named(rule: str) -> Rule:
    """The built-in rule with a name.

    Raises:
        UsageError: There is no such rule.
    """
    if rule not in RULES:
        raise UsageError(f"There is no rule {shown(rule)}.{suggest(rule, RULES)} The rules are {', '.join(RULES)}.")
    return _gradient if rule == "gradient" else partial(_ruled, rule)


def describe(graph: Graph, name: str, rule: str) -> str:
    """What a rule does at the layers between a layer and the pixels, as a phrase with R the incoming signal.

    Raises:
        UsageError: There is no such rule.
        ModelError: It is not defined for one of these layers, which the error names.
    """
    of = named(rule)
    calls = [layer_call(call) for call in graph.ancestors([name]) if graph.depends_on_image(call)]
    for call in calls:
        of(call)
    activations = [call.activation for call in calls if call.activation is not None]
    others = dict.fromkeys(each.name for each in activations if not each.relu)
    smooth = dict.fromkeys(call.kind for call in calls if call.activation is None and not _linear(call))
    parts = [f"{FORMULAS[rule]} at ReLUs"] if any(each.relu for each in activations) else []
    if others:
        slopes = "R · f′(x) where both factors are positive" if rule == "guided" else "R · f′(x)"
        parts.append(f"{slopes} at other activations ({', '.join(others)})")
    if smooth:
        parts.append(f"the gradient at {', '.join(smooth)}")
    return ", ".join(parts) or "the gradient, as there is no activation"


def _gradient(_: LayerCall) -> None:
    """The rule "gradient": every layer passes a signal as its gradient does."""


def _ruled(rule: str, call: LayerCall) -> Callable[..., Any] | None:
    final = call.activation
    if final is not None and (final.relu or rule == "guided"):
        ruled = _relu(final.function, RULES[rule], final.ceiling) if final.relu else _positive(final.function)
        # The argument may be passed by name.
        return lambda *args, **kwargs: ruled(call.before(*args, *kwargs.values()))
    if final is None and (
        _linear(call)
        or (rule == "guided" and layer_kinds.is_keras(call.layer) and layer_kinds.of(call.layer) & Trait.SMOOTH)
    ):
        return None
    which = f"The layer '{call.name}' ({_described(call)}) is "
    if final is not None:
        raise ModelError(
            f"{which}an activation other than ReLU, for which the rule 'deconvnet' is not defined. Use the rule 'guided', "
            "which uses the sign of its slope, or 'gradient', or name a layer before it."
        )
    raise ModelError(
        f"{which}neither an elementwise activation nor known to pass a signal as its gradient does, so the rule '{rule}' is "
        "not defined for it. Name a layer before it, or use the rule 'gradient'."
    )


def _linear(call: LayerCall) -> bool:
    """Whether all rules equal the gradient for a call without a known activation."""
    if isinstance(call.function, Linear):
        return True
    traits = layer_kinds.of(call.layer)
    if not layer_kinds.is_keras(call.layer):
        return False
    if traits & Trait.LINEAR or call.kind == "Activation":
        return is_linear(getattr(call.layer, "activation", None))
    return bool(traits & Trait.LINEAR_IN_ONE) and call.inputs == 1


def _described(call: LayerCall) -> str:
    function = getattr(call.layer, "activation", None)
    name = getattr(function, "__name__", type(function).__name__)
    return call.kind if is_linear(function) else f"{call.kind} with activation '{name}'"


def _relu(relu: Callable[[Any], Any], rule: Callable[[Any, Any], Any], ceiling: float | None) -> Callable[[Any], Any]:
    """A ReLU with a rule as its pull-back."""

    def pull(x: Any, signal: Any) -> Any:
        active = x > 0 if ceiling is None else keras.ops.logical_and(x > 0, x < ceiling)
        return rule(_mask(active, signal), signal)

    return with_pullback(relu, pull)


def _positive(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """An activation whose pull-back is R · f′(x) where R and f′(x) are positive, and 0 elsewhere.

    The signal is clipped at 0 before and after the activation: max(max(R, 0) · f′(x), 0).
    """
    gate = identity_with_pullback(lambda _, signal: keras.ops.maximum(signal, 0))
    return lambda x: gate(function(gate(x)))


def _mask(condition: Any, like: Any) -> Any:
    return keras.ops.cast(condition, like.dtype)
