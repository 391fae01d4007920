"""Layers and operations that only move values, such as reshaping, transposing, joining and padding.

Applied to the numbers of the places instead of feature maps, they return the place that each value came from.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from cnnexplain.model.structure import layer_kinds
from cnnexplain.model.structure.graph import Call
from cnnexplain.model.structure.inference import run_isolated
from cnnexplain.model.structure.layer_kinds import Trait

if TYPE_CHECKING:
    from jaxtyping import Float32, Shaped


def only_moves(call: Call) -> bool:
    """Whether a call only moves values."""
    inner, kind = call.inner, type(call.inner).__name__
    traits = layer_kinds.of(inner)
    if not layer_kinds.is_keras(inner):
        return False
    if traits & Trait.RESIZES:
        # Interpolation by nearest neighbors copies pixels.
        plain = getattr(inner, "interpolation", "") == "nearest" and not getattr(inner, "pad_to_aspect_ratio", False)
        return plain and not getattr(inner, "antialias", False)
    if kind == "CenterCrop":
        # It enlarges smaller images.
        return bool(inner.height <= call.sources[0].shape[1] and inner.width <= call.sources[0].shape[2])
    # A padding value other than zero would be taken for a place.
    return bool(traits & Trait.MOVES) and not np.any(getattr(inner, "constant_values", 0) or 0)


def unstacks(call: Call) -> bool:
    """Whether a call removes the first axis, along which images may have been stacked."""
    if not layer_kinds.of(call.inner) & Trait.REDUCES or not layer_kinds.is_keras(call.inner):
        return False
    axis = getattr(call.inner, "axis", None)
    return axis is None or not {0, -len(call.sources[0].shape)}.isdisjoint(keras.tree.flatten(axis))


def evaluated(call: Call, arrays: Mapping[int, Shaped[np.ndarray, " ..."]]) -> list[Shaped[np.ndarray, " ..."]]:
    """The outputs of a call for arrays in place of its sources, by their ids; the other sources are zeros."""

    def filled(leaf: Any) -> Any:
        if not keras.utils.is_keras_tensor(leaf):
            return leaf
        array = arrays.get(id(leaf))
        if array is None:
            array = np.zeros([size or 1 for size in leaf.shape], np.float32)
        return keras.ops.convert_to_tensor(np.asarray(array, np.float32))

    args, kwargs = keras.tree.map_structure(filled, (call.args, call.kwargs))
    outputs = run_isolated(lambda: call.function(*args, **kwargs))
    return [keras.ops.convert_to_numpy(each) for each in keras.tree.flatten(outputs)]


def place_numbers(tensor: Any) -> Float32[np.ndarray, "1 h w C"]:
    """1 + row · width + column for each value of one image's feature maps, a symbolic tensor (N, h, w, C)."""
    _, height, width, channels = (size or 1 for size in tensor.shape)
    numbers = np.arange(1, height * width + 1, dtype=np.float32).reshape(1, height, width, 1)
    return np.broadcast_to(numbers, (1, height, width, channels))
