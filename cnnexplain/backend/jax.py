"""The functions of `Backend` for JAX."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import jax
import keras
import numpy as np

from cnnexplain.backend import no_gradient

if TYPE_CHECKING:
    from jaxtyping import Float32, Shaped

# Otherwise Keras trains without compilation.
JIT = True


def forward(
    function: Callable[[Any], Sequence[Any]],
    shape: tuple[int, ...],  # noqa: ARG001  # JAX compiles for the shapes of the arguments.
    variables: Sequence[Any],
) -> Callable[[Shaped[np.ndarray, "N ..."]], list[Float32[np.ndarray, "N ..."]]]:
    """`function` compiled for float32 batches (N, *shape), once for each power of two up to the longest batch."""
    return _compiled(function, variables)


def gradient(
    function: Callable[..., Any],
    shapes: Sequence[tuple[int, ...]],  # noqa: ARG001
    variables: Sequence[Any],
) -> Callable[..., list[Float32[np.ndarray, "N ..."]]]:
    """(x, …) ↦ function(x, …), of shape (N,), and the gradient of each value with respect to its own x.

    Compiled for the same batch lengths as by `forward`.
    """

    def pull(x: Any, *others: Any) -> tuple[Any, Any]:
        values, pullback = jax.vjp(lambda x: function(x, *others), x)
        ones = jax.numpy.ones_like(values)
        if not _depends(pullback, ones):
            raise no_gradient()
        (slope,) = pullback(ones)
        return values, slope

    return _compiled(pull, variables)


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


def _compiled(
    function: Callable[..., Sequence[Any]], variables: Sequence[Any]
) -> Callable[..., list[Float32[np.ndarray, "N ..."]]]:
    # If the function read the variables itself, their present values would be compiled as constants.
    def stateless(values: Sequence[Any], *arrays: Any) -> list[Any]:
        with keras.StatelessScope(state_mapping=list(zip(variables, values, strict=True))):
            return list(function(*arrays))

    compiled = jax.jit(stateless)

    def call(*arrays: Shaped[np.ndarray, "N ..."]) -> list[Float32[np.ndarray, "N ..."]]:
        length = len(arrays[0])
        # JAX compiles for each length separately. Padding repeats the batch, since zeros might be unusual images.
        padded = 1 << max(length - 1, 0).bit_length()
        filled = (np.resize(np.asarray(array, np.float32), (padded, *np.shape(array)[1:])) for array in arrays)
        try:
            # Otherwise a GPU multiplies float32 numbers as TensorFloat-32, which has 10 bits of mantissa instead of 23.
            with jax.default_matmul_precision("highest"):
                # Waiting for a failed computation raises an error; reading its result would abort the process.
                outputs = jax.block_until_ready(compiled([each.value for each in variables], *filled))
            return [np.asarray(each)[:length] for each in outputs]
        except jax.errors.JaxRuntimeError as error:
            if "RESOURCE_EXHAUSTED" in str(error):
                raise MemoryError(str(error)) from error
            raise

    return call
