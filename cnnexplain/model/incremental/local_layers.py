"""The layers that are local: each unit reads a small window of the feature maps, which is the same for all units.

The part of such a layer's output that depends on some places of its input can be computed from a crop of the input.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from cnnexplain.model.geometry.windows import Window, window_function
from cnnexplain.model.structure import layer_kinds, recognition
from cnnexplain.model.structure.activations import FUNCTIONS
from cnnexplain.model.structure.graph import Call
from cnnexplain.model.structure.layer_kinds import Trait
from cnnexplain.model.structure.linear_parts import linear_part

PLACE = Window(0, 1)
"""The window of a unit that reads only its own place."""

LOWEST = -math.inf
"""Stands for the places outside the feature maps that max-pooling does not count."""


def windows(call: Call) -> tuple[Window, Window] | None:
    """What each unit of a call's output reads, along rows and columns; None if the call is not known to be local."""
    layer, outputs = call.inner, keras.tree.flatten(call.output)
    tensors = [*call.sources, *outputs]
    if len(outputs) != 1 or not layer_kinds.is_keras(layer) or any(len(tensor.shape) != 4 for tensor in tensors):
        return None
    if getattr(layer, "data_format", None) == "channels_first" or not _known_activation(layer):
        return None
    traits, sizes = layer_kinds.of(layer), [tuple(tensor.shape[1:3]) for tensor in tensors]
    if traits & Trait.POINTWISE:
        return (PLACE, PLACE) if len(set(sizes)) == 1 and _same_everywhere(call) else None
    function = window_function(layer)
    if function is None or len(call.sources) != 1 or valid(call) is None:
        return None
    rows, columns = function(layer, sizes[0], sizes[1]) or (None, None)
    return (rows, columns) if isinstance(rows, Window) and isinstance(columns, Window) else None


def in_place(windows: tuple[Window, Window]) -> bool:
    """Whether each unit reads only its own place."""
    return all((window.pad, window.size, window.stride) == (0, 1, 1) for window in windows)


def valid(call: Call) -> Callable[[Any], Any] | None:
    """A function from the places that some units read, with those outside the feature maps, to these units.

    That is the layer with the padding "valid"; None if it is not known.
    """
    layer = call.inner
    traits = layer_kinds.of(layer)
    if traits & (Trait.PADS | Trait.CROPS):
        return lambda x: x
    if traits & Trait.POOL_WINDOW:
        # At the margins, the mean is over fewer places.
        if not traits & Trait.SELECTS and layer.padding != "valid":
            return None
        pool = keras.ops.max_pool if traits & Trait.SELECTS else keras.ops.average_pool
        return lambda x: pool(x, tuple(layer.pool_size), tuple(layer.strides), "valid", data_format="channels_last")
    product = linear_part(layer, "valid") if traits & Trait.KERNEL_WINDOW else None
    if product is None or layer.activation is None:
        return product
    return lambda x: layer.activation(product(x))


def outside(call: Call) -> float:
    """The value that a call reads outside the feature maps."""
    return LOWEST if layer_kinds.of(call.inner) & Trait.POOLS else 0.0


def _known_activation(layer: Any) -> bool:
    function = getattr(layer, "activation", None)
    return function is None or recognition.elementwise(function, FUNCTIONS) is not None


def _same_everywhere(call: Call) -> bool:
    """Whether a call that reads only the place of each unit computes the same at all places."""
    layer = call.inner
    if layer_kinds.of(layer) & Trait.IDENTITY:
        return True
    if not set(keras.tree.flatten(getattr(layer, "axis", None))) <= {None, -1, 3}:
        return False
    # The kernel of a dense layer has an axis for its input, but none for places.
    weights = [] if type(layer).__name__ == "Dense" else getattr(layer, "weights", [])
    settings = [getattr(layer, name, None) for name in ("scale", "offset", "x_min", "x_max")]
    others: list[Any] = []
    for argument in (*call.args, *call.kwargs.values()):
        leaves = keras.tree.flatten(argument)
        symbolic = any(map(keras.utils.is_keras_tensor, leaves))
        others += [leaf for leaf in leaves if not keras.utils.is_keras_tensor(leaf)] if symbolic else [argument]
    return all(map(_same_at_all_places, (*weights, *settings, *others)))


def _same_at_all_places(value: Any) -> bool:
    """Whether a value that is broadcast to feature maps (N, H, W, C) is the same at all places."""
    shape = value.shape if hasattr(value, "shape") else np.shape(value)
    return set(shape[-3:-1]) <= {1}
