"""The only code that knows TensorFlow, JAX or PyTorch: one module for each, all with the same few functions.

Each module offers what `Backend` lists; all else is built on it.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, cast

from cnnexplain.errors import ModelError

if TYPE_CHECKING:
    from cnnexplain.types import Array

Shape: TypeAlias = tuple[int, ...]

BACKENDS = {
    "tensorflow": "pip install tensorflow",
    "jax": "pip install 'cnnexplain[jax]'",
    "torch": "pip install 'cnnexplain[torch]'",
}
"""The backends that have a module here, under these names, each with how to install it."""


class Backend(Protocol):
    """What each module of this package offers; shapes are without the batch axis, which may be of any length.

    `variables` are the Keras variables that a function reads. It sees the values that they have when it is called. Where
    memory doesn't suffice, what is compiled raises `MemoryError`.
    """

    JIT: bool | str
    """What `jit_compile` is best set to where Keras trains a model."""

    def forward(
        self, function: Callable[[Any], Sequence[Any]], shape: Shape, variables: Sequence[Any]
    ) -> Callable[[Array], list[Array]]:
        """`function` compiled once for float32 batches (N, *shape)."""

    def gradient(
        self, function: Callable[..., Any], shapes: Sequence[Shape], variables: Sequence[Any]
    ) -> Callable[..., list[Array]]:
        """Compiled once: (x, …) ↦ function(x, …), of shape (N,), and the gradient of each with respect to its own x.

        Each argument is a float32 batch, of the shapes in `shapes`. What is compiled raises `ModelError` where the function
        doesn't depend on x through operations that have a gradient.
        """

    def with_pullback(self, function: Callable[[Any], Any], pull: Callable[[Any, Any], Any]) -> Callable[[Any], Any]:
        """`function`, but its pull-back at x of a signal is pull(x, signal)."""

    def devices(self) -> list[str]:
        """The devices that the backend sees, such as "cpu:0"."""

    def device_memory(self) -> int | None:
        """Bytes free on the GPU that computes; None where the processor computes or the backend doesn't say."""


def current() -> Backend:
    """The module for the backend that Keras runs on.

    Raises:
        ModelError: Keras runs on a backend that has no module here.
    """
    # The names above are asked for before Keras is started.
    import keras

    name = keras.backend.backend()
    if name not in BACKENDS:
        raise ModelError(f"Keras runs on '{name}', but cnnexplain needs one of {', '.join(BACKENDS)}: set KERAS_BACKEND.")
    return module(name)


def module(name: str) -> Backend:
    """The module for a backend; it imports that backend, whichever Keras runs on.

    Raises:
        ImportError: It is not installed.
    """
    return cast("Backend", importlib.import_module(f"cnnexplain.backend.{name}"))


def no_gradient() -> ModelError:
    """What is raised where a function doesn't depend on its input through operations that have a gradient."""
    return ModelError("The model's scores do not depend on its input through layers that have a gradient.")
