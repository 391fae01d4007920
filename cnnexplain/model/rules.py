"""Rules by which a signal passes layers on its way from the scores to the pixels: what the author of a rule needs.

A rule is a function of one call of a layer, a `LayerCall`. It returns what is computed in the layer's place: the same
output, with a pull-back of its own, made with `with_pullback` and `identity_with_pullback`. Where it returns None the
signal passes as the gradient does. `Classifier.backpropagate` applies a rule to every layer on the way.

>>> def guided(call):  # Guided backpropagation, for ReLUs without a ceiling
...     if call.activation is None or not call.activation.relu:
...         return None
...     relu = with_pullback(
...         call.activation.function, lambda x, signal: keras.ops.where((x > 0) & (signal > 0), signal, 0.0)
...     )
...     return lambda x: relu(call.before(x))
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from cnnexplain import backend
from cnnexplain.errors import ModelError

if TYPE_CHECKING:
    from cnnexplain.model.activations import Activation


@dataclass(frozen=True, eq=False)
class LayerCall:
    """One call of a layer, or of an operation such as `x + y`: what a rule for its signal is made of.

    A layer computes `activation(before(x))`; one that ends in no activation known computes `before(x)` alone.

    Args:
        name: The layer's name, as in `Classifier.layers`.
        layer: The Keras layer or operation, which is the model's own and not to be changed.
        inputs: How many tensors it is given.
        function: What it computes, in inference mode.
        before: What it computes before its activation: of a layer that is nothing but an activation, its input.
        activation: The activation that works number by number in which it ends, with its `name` and `function`, whether it
            is a `relu`, and with which `ceiling`; None where there is none, or it isn't known.
        linear: Of Dense, Conv2D, DepthwiseConv2D and SeparableConv2D the product with the weights, bias included; None of
            other layers.
    """

    name: str
    layer: Any
    inputs: int
    function: Callable[..., Any]
    before: Callable[..., Any]
    activation: Activation | None
    linear: Callable[[Any], Any] | None

    @property
    def kind(self) -> str:
        """The class of the layer or operation, such as "Conv2D"."""
        return type(self.layer).__name__

    def activate(self, z: Any) -> Any:
        """What the layer makes of `before(x)`."""
        return z if self.activation is None else self.activation.function(z)


Rule: TypeAlias = Callable[[LayerCall], Callable[..., Any] | None]
"""A call of a layer ↦ what is computed in its place, or None for its gradient."""


def with_pullback(function: Callable[[Any], Any], pull: Callable[[Any, Any], Any]) -> Callable[[Any], Any]:
    """A function whose pull-back is replaced.

    Args:
        function: x ↦ y, in `keras.ops`, of tensors (N, …).
        pull: (x, the signal at y) ↦ the signal at x, of the shape of x, in `keras.ops`; numbers, no truth values.

    Returns:
        x ↦ function(x), through which signals come down by `pull` in the place of the function's gradient.
    """
    # A layer may return another precision than it is given.
    return backend.current().with_pullback(function, lambda x, signal: _like(pull(x, signal), x))


def identity_with_pullback(pull: Callable[[Any, Any], Any]) -> Callable[[Any], Any]:
    """The identity, through which signals come down by `pull`, (x, signal) ↦ signal: changes a signal between two layers."""
    return with_pullback(_same, pull)


def _like(signal: Any, x: Any) -> Any:
    # Keras is imported where it is used: declaring a plugin must not start it.
    import keras

    # TensorFlow takes the product of numbers and truth values for a logical "and".
    if keras.backend.standardize_dtype(signal.dtype) == "bool":
        raise ModelError("The pull-back of a rule returned truth values; write keras.ops.where(condition, signal, 0.0).")
    return keras.ops.cast(signal, x.dtype)


def _same(x: Any) -> Any:
    import keras

    # Not x itself, which a backend might return without its pull-back.
    return keras.ops.multiply(x, 1)
