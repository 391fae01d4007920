"""The functions of `Backend` for JAX."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import jax
import keras
import numpy as np

from cnnexplain.backend import no_gradient

if TYPE_CHECKING:
    from jaxtyping import Float32

# Otherwise Keras trains without compilation.
JIT = True

# Keras calls the compiled step from Python each time, whatever the number.
STEPS = 1

ANY_LENGTH = False

# In a loop, XLA's convolutions on a CPU take several times as long.
LOOPS_ON_CPU = False
SLOW_LOOPS_ON_CPU = True


def compiled(
    function: Callable[..., Sequence[Any]],
    shapes: Sequence[tuple[int, ...]],
    variables: Sequence[Any],
    constants: Sequence[tuple[int | None, ...]] = (),  # noqa: ARG001  # JAX compiles for the shapes of the arguments.
) -> Callable[..., list[Float32[np.ndarray, "N ..."]]]:
    """`function` compiled for batches (N, *shape) and constants, once for each power of two up to the longest batch."""
    batches = len(shapes)

    # If the function read the variables itself, their present values would be compiled as constants.
    def stateless(values: Sequence[Any], *arrays: Any) -> list[Any]:
        with keras.StatelessScope(state_mapping=list(zip(variables, values, strict=True))):
            return list(function(*arrays))

    jitted = jax.jit(stateless)

    def call(*arrays: Any) -> list[Float32[np.ndarray, "N ..."]]:
        floats = [np.asarray(array, np.float32) for array in arrays]
        length = len(floats[0])
        # JAX compiles for each length separately. Padding repeats the batch, since zeros might be unusual images.
        padded = 1 << max(length - 1, 0).bit_length()
        filled = [np.resize(array, (padded, *array.shape[1:])) for array in floats[:batches]]
        try:
            # Otherwise a GPU multiplies float32 numbers as TensorFloat-32, which has 10 bits of mantissa instead of 23.
            with jax.default_matmul_precision("highest"):
                # Waiting for a failed computation raises an error; reading its result would abort the process.
                outputs = jax.block_until_ready(jitted([each.value for each in variables], *filled, *floats[batches:]))
            return [np.asarray(each)[:length] for each in outputs]
        except jax.errors.JaxRuntimeError as error:
            if "RESOURCE_EXHAUSTED" in str(error):
                raise MemoryError(str(error)) from error
            raise

    return call


def value_and_gradient(function: Callable[..., Sequence[Any]]) -> Callable[..., list[Any]]:
    """(x, …) ↦ the values (N,), the gradient of each with respect to its own x, and other results of `function`."""

    def differentiated(x: Any, *arguments: Any) -> list[Any]:
        def split(x: Any) -> tuple[Any, list[Any]]:
            values, *others = function(x, *arguments)
            return values, others

        values, pullback, others = jax.vjp(split, x, has_aux=True)
        ones = jax.numpy.ones_like(values)
        if not _depends(pullback, ones):
            raise no_gradient()
        (slope,) = pullback(ones)
        return [values, slope, *others]

    return differentiated


def value_and_inner_gradients(
    function: Callable[..., Sequence[Any]], shapes: Sequence[tuple[int, ...]]
) -> Callable[..., list[Any]]:
    """(x, …) ↦ the values (N,), their gradients with respect to inner tensors, and other results of `function`."""

    # The gradient with respect to a tensor equals that with respect to zeros added to it.
    def differentiated(x: Any, *arguments: Any) -> list[Any]:
        def split(zeros: Sequence[Any]) -> tuple[Any, list[Any]]:
            values, *others = function(lambda number, tensor: tensor + zeros[number].astype(tensor.dtype), x, *arguments)
            return values, others

        zeros = [jax.numpy.zeros((len(x), *shape), "float32") for shape in shapes]
        values, pullback, others = jax.vjp(split, zeros, has_aux=True)
        ones = jax.numpy.ones_like(values)
        if not _depends(pullback, ones):
            raise no_gradient()
        (slopes,) = pullback(ones)
        return [values, *slopes, *others]

    return differentiated


def rows(table: Any, numbers: Any) -> Any:
    """The rows of a tensor (rows, C) with some numbers (…), which are not negative: (…, C)."""
    return table.at[numbers].get(mode="promise_in_bounds")


def weighted_pixels(images: Any, numbers: Any, weights: Any) -> Any:
    """Σ_k weights[k, p] · images[:, numbers[k, p]], (N, P, C), for images (N, R, C), integers and weights (K, P)."""
    return sum(weights[k][:, None] * images.at[:, numbers[k]].get(mode="promise_in_bounds") for k in range(len(numbers)))


def with_pullback(function: Callable[[Any], Any], pull: Callable[[Any, Any], Any]) -> Callable[[Any], Any]:
    """`function` with another pull-back: the pull-back at x of a signal is pull(x, signal)."""
    # With a lambda, JAX does not pass optional arguments of the function to the rules.
    pulled = jax.custom_vjp(lambda x: function(x))  # noqa: PLW0108
    pulled.defvjp(lambda x: (function(x), x), lambda x, signal: (pull(x, signal),))
    return pulled  # type: ignore[no-any-return]


def devices() -> list[str]:
    """The devices that are available to JAX, such as "cpu:0"."""
    return [f"{device.platform}:{device.id}" for device in jax.devices()]


def device_memory() -> int | None:
    """The free bytes on the GPU that JAX uses; None if it uses the CPU."""
    device = jax.devices()[0]
    figures = device.memory_stats() if device.platform == "gpu" else None
    return int(figures["bytes_limit"] - figures["bytes_in_use"]) if figures else None


def _depends(function: Callable[[Any], Any], x: Any) -> bool:
    """Whether the result of a function depends on x; for operations without a gradient, JAX returns zeros."""
    jaxpr = jax.make_jaxpr(function)(x).jaxpr
    reached = set(map(id, jaxpr.invars))
    for equation in jaxpr.eqns:
        if reached & set(map(id, equation.invars)):
            reached |= set(map(id, equation.outvars))
    return bool(reached & set(map(id, jaxpr.outvars)))
