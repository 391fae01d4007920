"""The only code that depends on TensorFlow, JAX or PyTorch: one module for each, all with the functions of `Backend`."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, cast

from cnnexplain.errors import ModelError

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float32

Shape: TypeAlias = tuple[int, ...]

BACKENDS = {
    "tensorflow": "pip install tensorflow",
    "jax": "pip install 'cnnexplain[jax]'",
    "torch": "pip install 'cnnexplain[torch]'",
}
"""The names of the backends, which are those of their modules, each with the command to install it."""


class Backend(Protocol):
    """The functions of each module of this package. Shapes are without the batch axis, which may have any length.

    `variables` are the Keras variables that a function reads; it uses their values at the time of the call. Compiled
    functions raise `MemoryError` if there is not enough memory.
    """

    JIT: bool | str
    """The best value of `jit_compile` for training a model with Keras."""

    STEPS: int
    """The best value of `steps_per_execution` for training a model with Keras."""

    ANY_LENGTH: bool
    """Whether a compiled function takes constants of any length without being recompiled for each."""

    LOOPS_ON_CPU: bool
    """Whether, on a CPU, a compiled loop of small steps takes less time than a call for each step."""

    SLOW_LOOPS_ON_CPU: bool
    """Whether, on a CPU, a network takes longer within a compiled loop than outside."""

    def compiled(
        self,
        function: Callable[..., Sequence[Any]],
        shapes: Sequence[Shape],
        variables: Sequence[Any],
        constants: Sequence[tuple[int | None, ...]] = (),
    ) -> Callable[..., list[Float32[np.ndarray, "N ..."]]]:
        """`function` compiled once: float32 batches (N, *shape), then float32 arrays of the shapes `constants` ↦ batches.

        A constant is the same for all items of a batch. An axis of a constant that is None may have any length, but a
        backend may recompile for each length.
        """

    def value_and_gradient(self, function: Callable[..., Sequence[Any]]) -> Callable[..., list[Any]]:
        """(x, …) ↦ the values (N,), the gradient of each with respect to its own x, and other results of `function`.

        `function` returns a list of the values, which it may follow by other results. The returned function computes with
        tensors, as a part of a function that is passed to `compiled`. It raises `ModelError` if the values do not depend on
        x through operations that have a gradient.
        """

    def value_and_inner_gradients(
        self, function: Callable[..., Sequence[Any]], shapes: Sequence[Shape]
    ) -> Callable[..., list[Any]]:
        """(x, …) ↦ the values (N,), their gradients with respect to inner tensors, and other results of `function`.

        `function` gets another argument before x: `watch`, which it calls once for each inner tensor. watch(i, t) returns
        what it must use in place of t, the tensor with the number i, whose shape is (N, *shapes[i]). Otherwise as
        `value_and_gradient`; a gradient is zero if only the other ones reach the values.
        """

    def rows(self, table: Any, numbers: Any) -> Any:
        """The rows of a tensor (rows, C) with some numbers (…), which are not negative: (…, C)."""

    def weighted_pixels(self, images: Any, numbers: Any, weights: Any) -> Any:
        """Σ_k weights[k, p] · images[:, numbers[k, p]], (N, P, C), for images (N, R, C), integers and weights (K, P).

        The numbers are from 0 to R − 1. The images and weights are both float32 or both float64. Only the gradient with
        respect to the images is that of the sum.
        """

    def with_pullback(self, function: Callable[[Any], Any], pull: Callable[[Any, Any], Any]) -> Callable[[Any], Any]:
        """`function` with another pull-back: the pull-back at x of a signal is pull(x, signal)."""

    def devices(self) -> list[str]:
        """The devices that are available to the backend, such as "cpu:0"."""

    def device_memory(self) -> int | None:
        """The free bytes on the GPU that is used; None if the CPU is used, or if they are not known."""


def current() -> Backend:
    """The module for the backend that Keras uses.

    Raises:
        ModelError: Keras uses a backend without a module here.
    """
    # Imported here, since `BACKENDS` is used before Keras is imported.
    import keras

    name = keras.backend.backend()
    if name not in BACKENDS:
        raise ModelError(f"Keras uses '{name}', but cnnexplain needs one of {', '.join(BACKENDS)}: set KERAS_BACKEND.")
    return module(name)


def module(name: str) -> Backend:
    """The module for a backend; it imports the backend, even if Keras uses another one.

    Raises:
        ImportError: It is not installed.
    """
    return cast("Backend", importlib.import_module(f"cnnexplain.backend.{name}"))


def no_gradient() -> ModelError:
    """The error for a function that does not depend on its input through operations that have a gradient."""
    return ModelError("The model's scores do not depend on its input through layers that have a gradient.")
