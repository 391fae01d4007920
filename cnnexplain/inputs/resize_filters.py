"""Resizes images without anti-aliasing, like Keras' loaders, for any fit of a `Preprocess`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float, Float32, Int64

TABLE = 1024
"""TensorFlow tabulates the cubic weights in this many steps between two pixels."""


@dataclass(frozen=True)
class Axis:
    """How n new pixels along an axis are computed, each as a weighted sum of k old ones.

    Args:
        places: (n, k), the indices of the old pixels.
        weights: (n, k), their weights; all 0 for black pixels.
    """

    places: Int64[np.ndarray, "n k"]
    weights: Float32[np.ndarray, "n k"]

    def within(self, start: int, before: int, total: int) -> Axis:
        """Shifts the old pixels by `start`, and pads to `total` new pixels, the first `before` of them black."""
        after = total - before - len(self.places)
        padding = ((before, after), (0, 0))
        return Axis(np.pad(self.places + start, padding, mode="edge"), np.pad(self.weights, padding))


@dataclass(frozen=True)
class Grid:
    """How an image is resampled along both axes."""

    rows: Axis
    columns: Axis

    def sample(self, image: Float[np.ndarray, "h w C"]) -> Float32[np.ndarray, "H W C"]:
        """Resamples an image (h, w, C) to (H, W, C)."""
        for number, axis in enumerate((self.rows, self.columns)):
            broadcast = (slice(None), *[None] * (2 - number))
            image = sum(
                np.take(image, places, number) * weights[broadcast]
                for places, weights in zip(axis.places.T, axis.weights.T, strict=True)
            )
        return np.asarray(image, np.float32)

    def needed(self) -> tuple[Int64[np.ndarray, " rows"], Int64[np.ndarray, " columns"], Grid]:
        """The rows and the columns that are used, in increasing order, and the grid for an image with only these."""
        parts = [np.unique(axis.places, return_inverse=True) for axis in (self.rows, self.columns)]
        axes = (
            Axis(inverse.reshape(axis.places.shape), axis.weights)
            for axis, (_, inverse) in zip((self.rows, self.columns), parts, strict=True)
        )
        return parts[0][0], parts[1][0], Grid(*axes)


def axis(length: int, pixels: int, interpolation: Literal["bilinear", "bicubic", "nearest"]) -> Axis:
    """How `tf.image.resize` without anti-aliasing computes `pixels` new pixels from `length` old ones, with its rounding."""
    scale = np.float32(length) / np.float32(pixels)
    centers = (np.arange(pixels, dtype=np.float32) + np.float32(0.5)) * scale
    if interpolation == "nearest":
        return _single(np.floor(centers), length)
    centers = centers - np.float32(0.5)
    low = np.floor(centers)
    share = centers - low
    if interpolation == "bilinear":
        places = np.stack([low, np.ceil(centers)], axis=1)
        return Axis(np.clip(places, 0, length - 1).astype(np.int64), np.stack([1 - share, share], axis=1))
    near, far = _cubic(np.rint(share * TABLE) / TABLE), _cubic(1 - np.rint(share * TABLE) / TABLE)
    weights = np.stack([near[1], near[0], far[0], far[1]], axis=1)
    places = low[:, None] + np.arange(-1, 3)
    inside = (places >= 0) & (places < length)
    weights = np.where(inside, weights, 0)
    weights /= weights.sum(axis=1, keepdims=True)
    return Axis(np.clip(places, 0, length - 1).astype(np.int64), np.asarray(weights, np.float32))


def nearest(length: int, pixels: int) -> Axis:
    """How Pillow, and `keras.utils.load_img`, selects the nearest of `length` old pixels for each of `pixels` new ones."""
    step = length / pixels
    # Pillow sums the steps. The rounding decides between two old pixels at the same distance.
    return _single(np.floor(np.cumsum([step / 2, *[step] * (pixels - 1)])), length)


def _single(places: Sequence[float] | Float[np.ndarray, " n"], length: int) -> Axis:
    indices: np.ndarray[Any, Any] = np.clip(np.asarray(places), 0, length - 1).astype(np.int64)[:, None]
    return Axis(indices, np.ones(indices.shape, np.float32))


def _cubic(distance: Float32[np.ndarray, " n"]) -> tuple[Float32[np.ndarray, " n"], Float32[np.ndarray, " n"]]:
    """The weights of the nearer and the farther pixel on one side (Keys 1981, a = −1/2)."""
    further = distance + 1
    return 1.5 * distance**3 - 2.5 * distance**2 + 1, -0.5 * further**3 + 2.5 * further**2 - 4 * further + 2
