"""A hash of a model's weights, which tells one model from memory from another."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np


def fingerprint(model: Any) -> str:
    """A SHA-256 of the names, shapes, types and values of a Keras model's weights as they are now."""
    digest = hashlib.sha256()
    for weight, value in zip(model.weights, model.get_weights(), strict=True):
        digest.update(f"{weight.path} {value.shape} {value.dtype}".encode())
        digest.update(np.ascontiguousarray(value).tobytes())
    return digest.hexdigest()
