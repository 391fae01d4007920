"""The only code that knows TensorFlow, JAX or PyTorch: one module for each, all with the same few functions.

Each module offers `forward`, `gradient` and `with_pullback`; all else is built on them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeAlias, cast

import keras

from cnnexplain.arrays import Array
from cnnexplain.errors import ModelError

Shape: TypeAlias = tuple[int, ...]


class Backend(Protocol):
    """What each module of this package offers; shapes are without the batch axis, which may be of any length."""

    def forward(self, function: Callable[[Any], Sequence[Any]], shape: Shape) -> Callable[[Array], list[Array]]:
        """`function` compiled once for float32 batches (N, *shape)."""

    def gradient(self, function: Callable[..., Any], shapes: Sequence[Shape]) -> Callable[..., list[Array]]:
        """Compiled once: (x, …) ↦ function(x, …), of shape (N,), and the gradient of each with respect to its own x.

        Each argument is a float32 batch, of the shapes in `shapes`.
        """

    def with_pullback(self, function: Callable[[Any], Any], pull: Callable[[Any, Any], Any]) -> Callable[[Any], Any]:
        """`function`, but its pull-back at x of a signal is pull(x, signal)."""


def current() -> Backend:
    """The module for the backend that Keras runs on.

    Raises:
        ModelError: Keras runs on a backend that has no module here.
    """
    name = keras.backend.backend()
    if name != "tensorflow":
        raise ModelError(f"Keras runs on '{name}', but cnnexplain needs TensorFlow: set KERAS_BACKEND=tensorflow.")
    from cnnexplain.backend import tensorflow

    return cast("Backend", tensorflow)
