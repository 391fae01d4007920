"""The backend's primitives on JAX."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import keras
import numpy as np

from cnnexplain.backend import no_gradient
from cnnexplain.types import Array

# Without it Keras trains without compiling anything.
JIT = True


def forward(
    function: Callable[[Any], Sequence[Any]],
    shape: tuple[int, ...],  # noqa: ARG001  # JAX compiles for the shapes that it is given.
    variables: Sequence[Any],
) -> Callable[[Array], list[Array]]:
    """`function` compiled for float32 batches (N, *shape), once for each power of two up to the longest."""
    return _compiled(function, variables)


def gradient(
    function: Callable[..., Any],
    shapes: Sequence[tuple[int, ...]],  # noqa: ARG001
    variables: Sequence[Any],
) -> Callable[..., list[Array]]:
    """(x, …) ↦ function(x, …), of shape (N,), and the gradient of each with respect to its own x. Compiled likewise."""

    def pull(x: Any, *others: Any) -> tuple[Any, Any]:
        values, pullback = jax.vjp(lambda x: function(x, *others), x)
        ones = jax.numpy.ones_like(values)
        if not _depends(pullback, ones):
            raise no_gradient()
        (slope,) = pullback(ones)
        return values, slope

    return _compiled(pull, variables)


def with_pullback(function: Callable[[Any], Any], pull: Callable[[Any, Any], Any]) -> Callable[[Any], Any]:
    """`function`, but its pull-back at x of a signal is pull(x, signal)."""
    # JAX would give the rules what else the function could take, too.
    pulled = jax.custom_vjp(lambda x: function(x))  # noqa: PLW0108
    pulled.defvjp(lambda x: (function(x), x), lambda x, signal: (pull(x, signal),))
    return pulled  # type: ignore[no-any-return]


def devices() -> list[str]:
    """The devices that JAX sees, such as "cpu:0"."""
    return [f"{device.platform}:{device.id}" for device in jax.devices()]


def device_memory() -> int | None:
    """Bytes free on the GPU that JAX computes on; None where it computes on the processor."""
    device = jax.devices()[0]
    figures = device.memory_stats() if device.platform == "gpu" else None
    return int(figures["bytes_limit"] - figures["bytes_in_use"]) if figures else None


def _depends(function: Callable[[Any], Any], x: Any) -> bool:
    """Whether what the function returns is computed from x; where nothing has a gradient, JAX makes up zeros."""
    jaxpr = jax.make_jaxpr(function)(x).jaxpr
    reached = set(map(id, jaxpr.invars))
    for equation in jaxpr.eqns:
        if reached & set(map(id, equation.invars)):
            reached |= set(map(id, equation.outvars))
    return bool(reached & set(map(id, jaxpr.outvars)))


def _compiled(function: Callable[..., Sequence[Any]], variables: Sequence[Any]) -> Callable[..., list[Array]]:
    # Values that the function read by itself would become constants of what is compiled, and stay as they are now.
    def stateless(values: Sequence[Any], *arrays: Any) -> list[Any]:
        with keras.StatelessScope(state_mapping=list(zip(variables, values, strict=True))):
            return list(function(*arrays))

    compiled = jax.jit(stateless)

    def call(*arrays: Array) -> list[Array]:
        length = len(arrays[0])
        # JAX compiles for every length by itself. The batch again and again fills up better than zeros: no image of it is
        # odder than the others.
        padded = 1 << max(length - 1, 0).bit_length()
        filled = (np.resize(np.asarray(array, np.float32), (padded, *np.shape(array)[1:])) for array in arrays)
        try:
            # Otherwise a GPU multiplies float32 numbers as TensorFloat-32, which has 10 bits of mantissa in the place of 23.
            with jax.default_matmul_precision("highest"):
                # To read what could not be computed aborts the process; to wait for it raises.
                outputs = jax.block_until_ready(compiled([each.value for each in variables], *filled))
            return [np.asarray(each)[:length] for each in outputs]
        except jax.errors.JaxRuntimeError as error:
            if "RESOURCE_EXHAUSTED" in str(error):
                raise MemoryError(str(error)) from error
            raise

    return call
