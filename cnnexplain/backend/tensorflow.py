"""The backend's primitives on TensorFlow."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from cnnexplain.backend import no_gradient
from cnnexplain.types import Array

# Left to choose, Keras compiles with XLA, whose convolutions take twice the time on a processor.
JIT = False

GPU_MEMORY = 8 << 30
"""Bytes that a GPU is taken to have free. Where it has fewer, batches are halved until they fit."""

NAME, ODD = re.compile(r"[A-Za-z0-9.][A-Za-z0-9_./-]*"), re.compile(r"[^A-Za-z0-9_.-]")
"""The names that TensorFlow takes, and the characters that it doesn't."""


def forward(
    function: Callable[[Any], Sequence[Any]],
    shape: tuple[int, ...],
    variables: Sequence[Any],  # noqa: ARG001  # A tf.function reads them where they are.
) -> Callable[[Array], list[Array]]:
    """`function` compiled once for float32 batches (N, *shape)."""
    return _compiled(function, [shape])


def gradient(
    function: Callable[..., Any],
    shapes: Sequence[tuple[int, ...]],
    variables: Sequence[Any],  # noqa: ARG001
) -> Callable[..., list[Array]]:
    """Compiled once: (x, …) ↦ function(x, …), of shape (N,), and the gradient of each with respect to its own x."""

    def pull(x: Any, *others: Any) -> list[Any]:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(x)
            values = function(x, *others)
        slope = tape.gradient(values, x)
        return [values] if slope is None else [values, slope]

    compiled = _compiled(pull, shapes)

    def call(*arrays: Array) -> list[Array]:
        found = compiled(*arrays)
        # Raised in what is compiled, the error would tell of TensorFlow's own code.
        if len(found) == 1:
            raise no_gradient()
        return found

    return call


def with_pullback(function: Callable[[Any], Any], pull: Callable[[Any, Any], Any]) -> Callable[[Any], Any]:
    """`function`, but its pull-back at x of a signal is pull(x, signal)."""

    def forwards(x: Any) -> tuple[Any, Callable[..., Any]]:
        # TensorFlow asks for a gradient of the variables that the function reads, too, which nobody needs.
        def backwards(signal: Any, variables: Sequence[Any] = ()) -> Any:
            slope = pull(x, signal)
            return (slope, [None] * len(variables)) if variables else slope

        return function(x), backwards

    return tf.custom_gradient(forwards)  # type: ignore[no-any-return]


def devices() -> list[str]:
    """The devices that TensorFlow sees, such as "cpu:0"."""
    names = (device.name.removeprefix("/physical_device:") for device in tf.config.list_physical_devices())
    return [name.lower() for name in names]


def device_memory() -> int | None:
    """`GPU_MEMORY` where TensorFlow computes on a GPU, of which it doesn't say what is free; None on the processor."""
    return GPU_MEMORY if tf.config.list_logical_devices("GPU") else None


def _compiled(function: Callable[..., Sequence[Any]], shapes: Sequence[tuple[int, ...]]) -> Callable[..., list[Array]]:
    signature = [tf.TensorSpec((None, *shape), tf.float32) for shape in shapes]

    def pure(function: Callable[..., Sequence[Any]], *arrays: Any) -> Sequence[Any]:
        with keras.StatelessScope(), _any_name():
            return function(*arrays)

    # TensorFlow takes functions that share their code for one, and warns when several of them are compiled.
    compiled = tf.function(functools.partial(pure, function), input_signature=signature)

    def call(*arrays: Array) -> list[Array]:
        try:
            with _full_precision():
                return [np.asarray(each) for each in compiled(*(np.asarray(array, np.float32) for array in arrays))]
        except tf.errors.ResourceExhaustedError as error:
            raise MemoryError(error.message) from error
        # AutoGraph raises another error, with its own words around those of the first.
        except Exception as error:
            first = error.__context__ if hasattr(error, "ag_error_metadata") else None
            if first is None:
                raise
            raise first from first.__cause__

    return call


@contextmanager
def _any_name() -> Iterator[None]:
    """Lets layers have names, as Keras does, of characters that TensorFlow refuses in the graph that is being built."""
    graph = tf.compat.v1.get_default_graph()
    scope = graph.name_scope
    graph.name_scope = lambda name: scope(name if not name or NAME.fullmatch(name) else "at." + ODD.sub("_", name))
    try:
        yield
    finally:
        graph.name_scope = scope


@contextmanager
def _full_precision() -> Iterator[None]:
    """Keeps a GPU from multiplying float32 numbers as TensorFloat-32, which has 10 bits of mantissa in the place of 23."""
    before = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(False)
    try:
        yield
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(before)
