"""The functions of `Backend` for TensorFlow."""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from cnnexplain.backend import no_gradient

if TYPE_CHECKING:
    from jaxtyping import Float32

# By default, Keras compiles with XLA, whose convolutions take twice the time on a CPU.
JIT = False

# A fifth of the time of a small step is that of Keras' Python code around it.
STEPS = 16

ANY_LENGTH = True

LOOPS_ON_CPU = True
SLOW_LOOPS_ON_CPU = False

GPU_MEMORY = 8 << 30
"""The assumed number of free bytes on a GPU. If there are fewer, batches are halved until they fit."""

NAME, ODD = re.compile(r"[A-Za-z0-9.][A-Za-z0-9_./-]*"), re.compile(r"[^A-Za-z0-9_.-]")
"""The names that TensorFlow accepts, and the characters that it does not accept."""


def compiled(
    function: Callable[..., Sequence[Any]],
    shapes: Sequence[tuple[int, ...]],
    variables: Sequence[Any],  # noqa: ARG001  # A tf.function reads the variables itself.
    constants: Sequence[tuple[int | None, ...]] = (),
) -> Callable[..., list[Float32[np.ndarray, "N ..."]]]:
    """`function` compiled once for float32 batches (N, *shape) and constants."""
    signature = [tf.TensorSpec(shape, tf.float32) for shape in [*((None, *shape) for shape in shapes), *constants]]

    def pure(function: Callable[..., Sequence[Any]], *arrays: Any) -> Sequence[Any]:
        with keras.StatelessScope(), _any_name():
            return function(*arrays)

    def traced(*, autograph: bool) -> Any:
        # TensorFlow treats functions with the same code as one, and warns if several of them are compiled.
        pure_function = functools.partial(pure, function)
        return tf.function(pure_function, input_signature=signature, autograph=autograph).get_concrete_function()

    @functools.cache
    def concrete() -> tuple[Any, dict[str, Any]]:
        # Only layers whose Python code depends on the values of tensors need AutoGraph, which doubles the time.
        try:
            graph_function = traced(autograph=False)
        except TypeError:
            graph_function = traced(autograph=True)
        # Where there is no GPU, layers that are placed on one are computed on the CPU.
        placement = tf.compat.v1.ConfigProto(allow_soft_placement=tf.config.get_soft_device_placement())
        types = [output.dtype for output in graph_function.outputs]
        call_options = {"f": graph_function, "Tout": types, "config_proto": placement.SerializeToString()}
        return graph_function.captured_inputs, call_options

    def call(*arrays: Any) -> list[Float32[np.ndarray, "N ..."]]:
        # TensorFlow may keep the memory of an array for its results.
        copies = [np.array(array, np.float32) for array in arrays]
        try:
            with _full_precision():
                captured, call_options = concrete()
                # Calling it directly takes 0.1 ms longer, as TensorFlow then binds and checks the arguments in Python.
                results = tf.raw_ops.StatefulPartitionedCall(args=[*copies, *captured], **call_options)
                return [np.asarray(result) for result in results]
        except tf.errors.ResourceExhaustedError as error:
            raise MemoryError(error.message) from error
        # AutoGraph raises another error, with its own text around that of the original.
        except Exception as error:
            original = error.__context__ if hasattr(error, "ag_error_metadata") else None
            if original is None:
                raise
            raise original from original.__cause__

    return call


def value_and_gradient(function: Callable[..., Sequence[Any]]) -> Callable[..., list[Any]]:
    """(x, …) ↦ the values (N,), the gradient of each with respect to its own x, and other results of `function`."""

    def differentiated(x: Any, *arguments: Any) -> list[Any]:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(x)
            values, *others = function(x, *arguments)
        slope = tape.gradient(values, x)
        if slope is None:
            raise no_gradient()
        return [values, slope, *others]

    return differentiated


def value_and_inner_gradients(
    function: Callable[..., Sequence[Any]],
    shapes: Sequence[tuple[int, ...]],
) -> Callable[..., list[Any]]:
    """(x, …) ↦ the values (N,), their gradients with respect to inner tensors, and other results of `function`."""

    def differentiated(*arguments: Any) -> list[Any]:
        inner: dict[int, Any] = {}

        def watch(number: int, tensor: Any) -> Any:
            # A layer may return its input, whose gradient is another one if it has other uses.
            inner[number] = tf.identity(tensor)
            tape.watch(inner[number])
            return inner[number]

        with tf.GradientTape(watch_accessed_variables=False) as tape:
            values, *others = function(watch, *arguments)
        slopes = tape.gradient(values, inner)
        if all(slope is None for slope in slopes.values()):
            raise no_gradient()
        gradients = (tf.zeros_like(inner[i]) if slopes[i] is None else slopes[i] for i in range(len(shapes)))
        return [values, *gradients, *others]

    return differentiated


def rows(table: Any, numbers: Any) -> Any:
    """The rows of a tensor (rows, C) with some numbers (…), which are not negative: (…, C)."""
    # `keras.ops.take` first makes negative numbers positive, which takes longer than the rest.
    return tf.gather(table, numbers)


def weighted_pixels(images: Any, numbers: Any, weights: Any) -> Any:
    """Σ_k weights[k, p] · images[:, numbers[k, p]], (N, P, C), for images (N, R, C), integers and weights (K, P)."""
    # The product with a sparse matrix and its gradient take a quarter of the time of gathering and adding rows.
    places, (_, pixels, channels) = weights.shape[1], images.shape
    # The row and the column of an entry are the halves of a 64-bit integer, which takes less time than to join them.
    own, other = (1, 1 << 32) if sys.byteorder == "little" else (1 << 32, 1)
    entries = tf.cast(numbers, tf.int64) * other + np.arange(places) * own
    indices, values = tf.reshape(tf.bitcast(entries, tf.int32), (-1, 2)), tf.reshape(weights, (-1,))

    def product(x: Any, rows: int, *, adjoint: bool) -> Any:
        found = tf.raw_ops.SparseTensorDenseMatMul(
            a_indices=indices,
            a_values=values,
            a_shape=(places, pixels),
            b=tf.reshape(tf.transpose(x, (1, 0, 2)), (x.shape[1], -1)),
            adjoint_a=adjoint,
        )
        return tf.transpose(tf.reshape(found, (rows, -1, channels)), (1, 0, 2))

    @tf.custom_gradient  # type: ignore[untyped-decorator]  # TensorFlow has no types.
    def forwards(images: Any) -> Any:
        return product(images, places, adjoint=False), lambda signal: product(signal, pixels, adjoint=True)

    return forwards(images)


def with_pullback(function: Callable[[Any], Any], pull: Callable[[Any, Any], Any]) -> Callable[[Any], Any]:
    """`function` with another pull-back: the pull-back at x of a signal is pull(x, signal)."""

    def forwards(x: Any) -> tuple[Any, Callable[..., Any]]:
        # TensorFlow also requires gradients of the variables that the function reads; they are not used.
        def backwards(signal: Any, variables: Sequence[Any] = ()) -> Any:
            slope = pull(x, signal)
            return (slope, [None] * len(variables)) if variables else slope

        return function(x), backwards

    return tf.custom_gradient(forwards)  # type: ignore[no-any-return]


def devices() -> list[str]:
    """The devices that are available to TensorFlow, such as "cpu:0"."""
    names = (device.name.removeprefix("/physical_device:") for device in tf.config.list_physical_devices())
    return [name.lower() for name in names]


def device_memory() -> int | None:
    """`GPU_MEMORY` if TensorFlow uses a GPU, as it does not report the free memory; None if it uses the CPU."""
    return GPU_MEMORY if tf.config.list_logical_devices("GPU") else None


@contextmanager
def _any_name() -> Iterator[None]:
    """Allows names of layers with characters that Keras accepts, but TensorFlow rejects when it builds a graph."""
    graph = tf.compat.v1.get_default_graph()
    scope = graph.name_scope
    graph.name_scope = lambda name: scope(name if not name or NAME.fullmatch(name) else "at." + ODD.sub("_", name))
    try:
        yield
    finally:
        graph.name_scope = scope


@contextmanager
def _full_precision() -> Iterator[None]:
    """Keeps a GPU from multiplying float32 numbers as TensorFloat-32, which has 10 bits of mantissa instead of 23."""
    before = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(False)
    try:
        yield
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(before)
