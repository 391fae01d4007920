"""Kernels as they act, whatever the kind of convolution: their norms, and which are dead or duplicates."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from cnnexplain import Array, Floats, Integers

ZERO = 1e-6
"""A kernel with a norm of up to this share of its layer's largest is dead: weight decay leaves traces."""

ALIKE = 0.99
"""Two kernels with a larger cosine similarity are duplicates."""


def kernels(layer: Any) -> Floats:
    """The kernels (h, w, I, O) of the O output channels of a Keras layer, over the I input channels that each sees."""
    if isinstance(layer, keras.layers.SeparableConv2D):
        deep, point = _array(layer.depthwise_kernel), _array(layer.pointwise_kernel)
        *_, channels, multiplier = deep.shape
        return np.asarray(np.einsum("hwim,imo->hwio", deep, point.reshape(channels, multiplier, -1)), np.float32)
    kernel = _array(layer.kernel)
    if isinstance(layer, keras.layers.DepthwiseConv2D):
        return kernel.reshape(*kernel.shape[:2], 1, -1)
    if isinstance(layer, keras.layers.Conv2DTranspose):
        return kernel.swapaxes(2, 3)
    return kernel


def first_channels(layer: Any, kernel: Floats) -> Integers:
    """For each of the kernels (h, w, I, O) the first of the I input channels that it sees."""
    outputs = np.arange(kernel.shape[3])
    if isinstance(layer, keras.layers.DepthwiseConv2D):
        return np.asarray(outputs // layer.depth_multiplier, np.int64)
    groups = getattr(layer, "groups", 1)
    return np.asarray(outputs // (len(outputs) // groups) * kernel.shape[2], np.int64)


def norms(kernel: Floats) -> Floats:
    """The norm (O, I) of each kernel's weights for each input channel."""
    return np.asarray(np.sqrt((kernel**2).sum(axis=(0, 1))).T, np.float32)


def dead(kernel: Floats) -> list[int]:
    """The kernels that are zero."""
    whole = np.linalg.norm(norms(kernel), axis=1)
    return [int(k) for k in np.flatnonzero(whole <= ZERO * whole.max())]


def duplicates(kernel: Floats, first: Integers) -> list[list[int]]:
    """Each kernel that is like an earlier one over the same channels, with the first such one; dead ones are like none."""
    flat = kernel.reshape(-1, kernel.shape[3]).T
    sizes = np.linalg.norm(flat, axis=1, keepdims=True)
    unit = flat / np.where(sizes == 0, 1, sizes)
    alike = (unit @ unit.T > ALIKE) & (first[:, None] == first[None])
    none = dead(kernel)
    alike[none], alike[:, none] = False, False
    earlier = np.tril(alike, -1)
    return [[int(k), int(earlier[k].argmax())] for k in np.flatnonzero(earlier.any(axis=1))]


def _array(weight: Any) -> Array:
    return np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(weight, "float32")))
