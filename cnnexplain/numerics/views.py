"""Shifted, rotated and zoomed views of pictures, differentiable on every backend."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops

from cnnexplain import backend

if TYPE_CHECKING:
    from jaxtyping import Float32


def affine_views(z: Any, maps: Any, height: int, width: int) -> Any:
    """Views of pictures, with bilinear interpolation; the pictures are 0 beyond their borders.

    Args:
        z: (N, H, W, C).
        maps: (V, 2, 3), for each view the affine map from a position in the view, in pixels from its middle, to a position
            in the picture, in pixels from its first pixel.
        height: Rows of a view.
        width: Columns of a view.

    Returns:
        (N, V, height, width, C).
    """
    rows, columns, channels = z.shape[1:]
    # Pictures get a border of zeros, two wide at the end, so that there is a row below the last position, to which all
    # positions beyond the border are clipped.
    bordered = ops.pad(z, ((0, 0), (1, 2), (1, 2), (0, 0)))
    pixels = ops.reshape(bordered, (-1, (rows + 3) * (columns + 3), channels))
    positions = ops.reshape(ops.matmul(ops.reshape(maps, (-1, 3)), _grid(height, width)), (-1, 2, height * width))
    last = np.array([[rows], [columns]], np.float32)
    positions = ops.minimum(ops.maximum(positions, -1), last)
    first = ops.floor(positions)
    beyond = positions - first
    top, left = ops.unstack(first, 2, axis=1)
    corner = ops.cast(ops.reshape(top * (columns + 3) + (left + columns + 4), (-1,)), "int32")
    numbers = ops.add(corner, np.array([[0], [1], [columns + 3], [columns + 4]], np.int32))
    down, right = ops.unstack(ops.stack([1 - beyond, beyond]), 2, axis=2)
    weights = ops.reshape(ops.expand_dims(down, 1) * ops.expand_dims(right, 0), (4, -1))
    return ops.reshape(weighted_pixels(pixels, numbers, weights), (-1, maps.shape[0], height, width, channels))


def weighted_pixels(images: Any, numbers: Any, weights: Any) -> Any:
    """Σ_k weights[k, p] · images[:, numbers[k, p]], such as interpolated pixels, or differences of pixels.

    Args:
        images: (N, R, C), floating-point numbers.
        numbers: (K, P), integers from 0 to R − 1.
        weights: (K, P). The result has no gradient with respect to them.

    Returns:
        (N, P, C), of the same type as the images. Half precision is computed in float32.
    """
    images = ops.convert_to_tensor(images)
    kept = keras.backend.standardize_dtype(images.dtype)
    computed = "float64" if kept == "float64" else "float32"
    weights = ops.stop_gradient(ops.cast(weights, computed))
    found = backend.current().weighted_pixels(ops.cast(images, computed), ops.convert_to_tensor(numbers), weights)
    return ops.cast(found, kept)


@lru_cache(4)
def _grid(height: int, width: int) -> Float32[np.ndarray, "3 pixels"]:
    """The rows and columns of a view's pixels relative to its middle, and ones."""
    axes = [np.arange(length, dtype=np.float32) - (length - 1) / 2 for length in (height, width)]
    return np.stack([*np.meshgrid(*axes, indexing="ij"), np.ones((height, width), np.float32)]).reshape(3, -1)
