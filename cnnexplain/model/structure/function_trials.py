"""Evaluates functions of users on arrays, to recognize what they compute; a function that fails is not recognized."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from cnnexplain.interruption import check_interrupted

if TYPE_CHECKING:
    from jaxtyping import Float, Float64

LARGE = 50.0
"""For larger inputs, a function that does not guard against overflow may return values that are not finite."""

TOLERANCES = {"float16": 5e-3, "bfloat16": 3e-2}
"""The difference due to rounding between equal results, for types less precise than float32."""

MOST_VALUES = 1 << 22
"""The most values per image on which a function is evaluated as a whole."""


def evaluate(
    function: Callable[[Any], Any], values: Float[np.ndarray, " ..."], dtype: str = "float32"
) -> tuple[Float64[np.ndarray, " ..."], float] | None:
    """The output of a function and its relative tolerance; None if the function cannot be evaluated.

    Args:
        function: From a tensor to a tensor.
        values: Of any shape.
        dtype: The type in which the function gets the values.
    """
    if isinstance(function, keras.Layer):
        # A layer that is not built would adopt the shape of these values.
        if not function.built or function.weights:
            return None
        layer = function
        inference = {"training": False} if "training" in inspect.signature(layer.call).parameters else {}
        function = lambda x: layer(x, **inference)  # noqa: E731
    # A user's function may fail in any way for a tensor that it does not expect.
    try:
        with warnings.catch_warnings():
            # Keras warns of a softmax over a single class, for example.
            warnings.simplefilter("ignore")
            output = function(keras.ops.convert_to_tensor(values, dtype=dtype))
        if not keras.ops.is_tensor(output):
            return None
        tolerance = max(TOLERANCES.get(each, 1e-5) for each in (dtype, keras.backend.standardize_dtype(output.dtype)))
        with np.errstate(all="ignore"):
            return np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(output, "float32")), np.float64), tolerance
    except BaseException as error:  # noqa: BLE001
        check_interrupted(error)
        return None
