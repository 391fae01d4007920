"""What the limits need of JAX: compilation and gradients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import keras
import numpy as np


def compiled(function: Callable[..., Any], variables: Sequence[Any] = ()) -> Callable[..., Any]:
    """A function of tensors that reads Keras variables, compiled; it takes and returns arrays."""
    traced = _traced(function, variables)
    return lambda *arrays: jax.tree.map(np.asarray, traced(*arrays))


def repeated(step: Callable[[Any], Any], steps: int, variables: Sequence[Any] = ()) -> Callable[[Any], Any]:
    """A compiled step that is applied again and again; the arrays stay on the device.

    It is not a loop within a compiled function, since in these, XLA's convolutions on a CPU take many times as long.
    """
    traced = _traced(step, variables)

    def call(x: Any) -> Any:
        for _ in range(steps):
            x = traced(x)
        return np.asarray(x)

    return call


def _traced(function: Callable[..., Any], variables: Sequence[Any]) -> Callable[..., Any]:
    def stateless(values: Sequence[Any], *arrays: Any) -> Any:
        with keras.StatelessScope(state_mapping=list(zip(variables, values, strict=True))):
            return function(*arrays)

    traced = jax.jit(stateless)

    def call(*arrays: Any) -> Any:
        # The precision of float32, as on a CPU.
        with jax.default_matmul_precision("highest"):
            return traced([each.value for each in variables], *arrays)

    return call


def gradient(function: Callable[[Any], tuple[Any, Any]], x: Any) -> tuple[Any, Any, Any]:
    """function(x) = (values, others), and the gradient of the sum of the values."""
    values, pullback, others = jax.vjp(function, x, has_aux=True)
    return values, others, pullback(jax.numpy.ones_like(values))[0]


def stage_gradients(
    stages: Sequence[Callable[[Any], Any]], score: Callable[[Any], tuple[Any, Any]], x: Any
) -> tuple[Any, list[Any], list[Any]]:
    """The others of score(last output) = (values, others), the outputs of consecutive stages, and the gradients there."""

    def shifted(shifts: Sequence[Any]) -> tuple[Any, Any]:
        y, outputs = x, []
        for stage, shift in zip(stages, shifts, strict=True):
            y = stage(y) + shift
            outputs.append(y)
        values, others = score(y)
        return values, (others, outputs)

    def outputs(y: Any) -> list[Any]:
        return [y := stage(y) for stage in stages]

    zeros = [jax.numpy.zeros(each.shape, each.dtype) for each in jax.eval_shape(outputs, x)]
    _, (others, computed), slopes = gradient(shifted, zeros)
    return others, computed, slopes


def with_pull(function: Callable[[Any], Any], pull: Callable[[Any, Any], Any]) -> Callable[[Any], Any]:
    """`function` with another pull-back: the pull-back at x of a signal is pull(x, signal)."""
    pulled = jax.custom_vjp(function)
    pulled.defvjp(lambda x: (function(x), x), lambda x, signal: (pull(x, signal),))
    return pulled  # type: ignore[no-any-return]
