"""What the limits need of TensorFlow: compilation and gradients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

# The precision of float32 on GPUs, as on a CPU.
tf.config.experimental.enable_tensor_float_32_execution(False)


def compiled(function: Callable[..., Any], _: Sequence[Any] = ()) -> Callable[..., Any]:
    """A function of tensors, compiled without XLA, whose convolutions are slower on a CPU; it takes and returns arrays."""
    traced = tf.function(function, reduce_retracing=True, autograph=False)
    return lambda *arrays: tf.nest.map_structure(np.asarray, traced(*map(tf.convert_to_tensor, arrays)))


def repeated(step: Callable[[Any], Any], steps: int, variables: Sequence[Any] = ()) -> Callable[[Any], Any]:
    """A step that is applied again and again, in one compiled loop."""
    numbers = tf.range(steps)
    return compiled(lambda x: tf.foldl(lambda x, _: step(x), numbers, x), variables)


def gradient(function: Callable[[Any], tuple[Any, Any]], x: Any) -> tuple[Any, Any, Any]:
    """function(x) = (values, others), and the gradient of the sum of the values."""
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(x)
        values, others = function(x)
    return values, others, tape.gradient(values, x)


def stage_gradients(
    stages: Sequence[Callable[[Any], Any]], score: Callable[[Any], tuple[Any, Any]], x: Any
) -> tuple[Any, list[Any], list[Any]]:
    """The others of score(last output) = (values, others), the outputs of consecutive stages, and the gradients there."""
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(x)
        outputs = []
        for stage in stages:
            x = stage(x)
            outputs.append(x)
        values, others = score(x)
    return others, outputs, tape.gradient(values, outputs)


def with_pull(function: Callable[[Any], Any], pull: Callable[[Any, Any], Any]) -> Callable[[Any], Any]:
    """`function` with another pull-back: the pull-back at x of a signal is pull(x, signal)."""
    return tf.custom_gradient(lambda x: (function(x), lambda signal: pull(x, signal)))  # type: ignore[no-any-return]
