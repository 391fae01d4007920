"""Backward rules, by which a signal passes through layers from the scores to the pixels: the interface for their authors.

A rule is a function of one call of a layer, a `LayerCall`. It returns a function that computes the same output with a
pull-back of its own, made with `with_pullback` or `identity_with_pullback`; or None, so that the layer passes the signal as
its gradient does. `Classifier.backpropagate` applies a rule to every layer between the objective and the pixels.

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
    from cnnexplain.model.structure.activations import Activation


@dataclass(frozen=True, eq=False)
class LayerCall:
    """One call of a layer, or of an operation such as `x + y`, as a backward rule sees it.

    A layer computes `activation(before(x))`; without a known activation, it computes `before(x)`.

    Args:
        name: The layer's name, as in `Classifier.layers`.
        layer: The Keras layer or operation. It belongs to the model and must not be modified.
        inputs: The number of its input tensors.
        function: Computes its output in inference mode.
        before: Computes the input of its activation; the identity for layers that are only an activation.
        activation: The elementwise activation at its end, with its `name` and `function`, whether it is a `relu`, and its
            `ceiling`; None if there is none, or if it is not known.
        linear: For Dense, Conv2D, DepthwiseConv2D and SeparableConv2D, the product with the weights plus the bias; None for
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
        """The layer's output, from `before(x)`."""
        return z if self.activation is None else self.activation.function(z)


Rule: TypeAlias = Callable[[LayerCall], Callable[..., Any] | None]
"""A call of a layer ↦ the function to compute in its place, or None for its gradient."""


def with_pullback(function: Callable[[Any], Any], pull: Callable[[Any, Any], Any]) -> Callable[[Any], Any]:
    """A function with another pull-back.

    Args:
        function: x ↦ y, in `keras.ops`, of tensors (N, …).
        pull: (x, the signal at y) ↦ the signal at x, in the shape of x, in `keras.ops`; not boolean.

    Returns:
        x ↦ function(x), which passes signals back by `pull` instead of the function's gradient.
    """
    # The precision of a layer's output may differ from that of its input.
    return backend.current().with_pullback(function, lambda x, signal: _like(pull(x, signal), x))


def identity_with_pullback(pull: Callable[[Any, Any], Any]) -> Callable[[Any], Any]:
    """The identity with another pull-back, (x, signal) ↦ signal: changes a signal between two layers."""
    return with_pullback(_same, pull)


def _like(signal: Any, x: Any) -> Any:
    # Imported here, since declaring a plugin must not import Keras.
    import keras

    # TensorFlow treats the product of numbers and booleans as a logical "and".
    if keras.backend.standardize_dtype(signal.dtype) == "bool":
        raise ModelError("The pull-back of a rule returned booleans; use keras.ops.where(condition, signal, 0.0).")
    return keras.ops.cast(signal, x.dtype)


def _same(x: Any) -> Any:
    import keras

    # Not x itself: a backend might omit the pull-back.
    return keras.ops.multiply(x, 1)
