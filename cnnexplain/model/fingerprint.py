"""A hash of a model's weights, to identify models that do not come from a file."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Shaped


def fingerprint(model: Any) -> str:
    """The SHA-256 of the names, shapes, types and current values of a Keras model's weights."""
    digest = hashlib.sha256()
    for weight in model.weights:
        value = _value(weight)
        digest.update(f"{weight.path} {value.shape} {value.dtype}".encode())
        digest.update(np.ascontiguousarray(value).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _value(weight: Any) -> Shaped[np.ndarray, "*shape"]:
    """The value of a weight, without a copy if possible: copying large weights takes longer than hashing them."""
    tensor = keras.ops.stop_gradient(keras.ops.convert_to_tensor(weight))
    try:
        return np.asarray(tensor)
    except TypeError:
        # PyTorch shares neither the memory of a GPU nor values of type bfloat16 with NumPy.
        return np.asarray(keras.ops.convert_to_numpy(tensor))
