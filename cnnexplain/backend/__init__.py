"""The only code that knows TensorFlow, JAX or PyTorch: one module for each, all with the same few functions.

Each module offers `forward(function, shape)` and `pullback(function, shape, seed_shape)`; all else is built on them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, cast

import keras

from cnnexplain.arrays import Array
from cnnexplain.errors import ModelError


class Backend(Protocol):
    """What each module of this package offers; shapes are without the batch axis, which may be of any length."""

    def forward(self, function: Callable[..., object], shape: tuple[int, ...]) -> Callable[[Array], Array]:
        """`function` compiled once for float32 batches (N, *shape)."""

    def pullback(
        self, function: Callable[..., object], shape: tuple[int, ...], seed_shape: tuple[int, ...]
    ) -> Callable[[Array, Array], Array]:
        """Compiled once: (x, seed) ↦ the gradient with respect to x of the sum of seed · function(x), image by image."""


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
