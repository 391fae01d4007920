"""The backend's primitives on TensorFlow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from cnnexplain.arrays import Array
from cnnexplain.errors import ModelError


def forward(function: Callable[..., Any], shape: tuple[int, ...]) -> Callable[[Array], Array]:
    """`function` compiled once for float32 batches (N, *shape)."""
    compiled = tf.function(function, input_signature=[tf.TensorSpec((None, *shape), tf.float32)])
    return lambda x: np.asarray(compiled(np.asarray(x, np.float32)))


def pullback(
    function: Callable[..., Any], shape: tuple[int, ...], seed_shape: tuple[int, ...]
) -> Callable[[Array, Array], Array]:
    """Compiled once: (x, seed) ↦ the gradient with respect to x of the sum of seed · function(x), image by image."""

    def pull(x: Any, seed: Any) -> Any:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(x)
            y = function(x)
        gradient = tape.gradient(y, x, output_gradients=seed)
        if gradient is None:
            raise ModelError("The model's scores do not depend on its input through layers that have a gradient.")
        return gradient

    signature = [tf.TensorSpec((None, *shape), tf.float32), tf.TensorSpec((None, *seed_shape), tf.float32)]
    compiled = tf.function(pull, input_signature=signature)
    return lambda x, seed: np.asarray(compiled(np.asarray(x, np.float32), np.asarray(seed, np.float32)))
