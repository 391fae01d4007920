"""The effective kernels of any kind of convolution: their norms, and which are dead or duplicates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float32, Int64

ZERO = 1e-6
"""A kernel is dead if its norm is at most this share of the largest one in its layer: weight decay leaves small values."""

ALIKE = 0.99
"""Two kernels with a larger cosine similarity are duplicates."""


def kernels(layer: Any) -> Float32[np.ndarray, "h w I O"]:
    """The kernels of the O output channels of a Keras layer, over the I input channels that each sees."""
    if isinstance(layer, keras.layers.SeparableConv2D):
        depthwise, pointwise = _array(layer.depthwise_kernel), _array(layer.pointwise_kernel)
        *_, channels, multiplier = depthwise.shape
        product = np.einsum("hwim,imo->hwio", depthwise, pointwise.reshape(channels, multiplier, -1))
        return np.asarray(product, np.float32)
    kernel = _array(layer.kernel)
    if isinstance(layer, keras.layers.DepthwiseConv2D):
        return kernel.reshape(*kernel.shape[:2], 1, -1)
    if isinstance(layer, keras.layers.Conv2DTranspose):
        return kernel.swapaxes(2, 3)
    return kernel


def first_channels(layer: Any, kernel: Float32[np.ndarray, "h w I O"]) -> Int64[np.ndarray, " O"]:
    """For each kernel the index of the first input channel that it sees."""
    outputs = np.arange(kernel.shape[3])
    if isinstance(layer, keras.layers.DepthwiseConv2D):
        return np.asarray(outputs // layer.depth_multiplier, np.int64)
    groups = getattr(layer, "groups", 1)
    return np.asarray(outputs // (len(outputs) // groups) * kernel.shape[2], np.int64)


def norms(kernel: Float32[np.ndarray, "h w I O"]) -> Float32[np.ndarray, "O I"]:
    """The norm of each kernel's weights for each input channel."""
    return np.asarray(np.sqrt((kernel**2).sum(axis=(0, 1))).T, np.float32)


def dead(kernel: Float32[np.ndarray, "h w I O"]) -> list[int]:
    """The indices of the kernels that are zero."""
    whole = np.linalg.norm(norms(kernel), axis=1)
    return [int(k) for k in np.flatnonzero(whole <= ZERO * whole.max())]


def duplicates(kernel: Float32[np.ndarray, "h w I O"], first: Int64[np.ndarray, " O"]) -> list[list[int]]:
    """Each kernel that is not dead and similar to an earlier one over the same channels, with the first such kernel."""
    flat = kernel.reshape(-1, kernel.shape[3]).T
    sizes = np.linalg.norm(flat, axis=1, keepdims=True)
    unit = flat / np.where(sizes == 0, 1, sizes)
    alike = (unit @ unit.T > ALIKE) & (first[:, None] == first[None])
    zero = dead(kernel)
    alike[zero], alike[:, zero] = False, False
    earlier = np.tril(alike, -1)
    return [[int(k), int(earlier[k].argmax())] for k in np.flatnonzero(earlier.any(axis=1))]


def _array(weight: Any) -> Float32[np.ndarray, " ..."]:
    return np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(weight, "float32")))
