"""Resizing by single pixels, without anti-aliasing: what Keras' loaders do, and how `Preprocess` does it for any fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from cnnexplain.types import Floats, Integers

TABLE = 1024
"""In so many steps between two pixels TensorFlow tabulates the cubic weights."""


@dataclass(frozen=True)
class Axis:
    """For n new pixels along an axis, of which k old ones each is a weighted sum.

    Args:
        places: (n, k), of the old pixels.
        weights: (n, k); all 0 where the new pixel is black.
    """

    places: Integers
    weights: Floats

    def within(self, start: int, before: int, total: int) -> Axis:
        """The same of old pixels from `start` on, among `total` new pixels, of which as many as `before` are black."""
        after = total - before - len(self.places)
        padding = ((before, after), (0, 0))
        return Axis(np.pad(self.places + start, padding, mode="edge"), np.pad(self.weights, padding))


@dataclass(frozen=True)
class Grid:
    """The pixels of a picture of which one of another size is made."""

    rows: Axis
    columns: Axis

    def sample(self, picture: Floats) -> Floats:
        """(h, w, C) → (H, W, C)."""
        for axis, here in enumerate((self.rows, self.columns)):
            wide = (slice(None), *[None] * (2 - axis))
            picture = sum(
                np.take(picture, places, axis) * weights[wide]
                for places, weights in zip(here.places.T, here.weights.T, strict=True)
            )
        return np.asarray(picture, np.float32)

    def needed(self) -> tuple[Integers, Integers, Grid]:
        """The rows and the columns that it takes, in their order, and the grid on a picture of these alone."""
        parts = [np.unique(axis.places, return_inverse=True) for axis in (self.rows, self.columns)]
        axes = (
            Axis(inverse.reshape(axis.places.shape), axis.weights)
            for axis, (_, inverse) in zip((self.rows, self.columns), parts, strict=True)
        )
        return parts[0][0], parts[1][0], Grid(*axes)


def axis(length: int, pixels: int, interpolation: Literal["bilinear", "bicubic", "nearest"]) -> Axis:
    """How `tf.image.resize` without anti-aliasing makes `pixels` new pixels of `length` old ones, and rounds meanwhile."""
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
    """How Pillow, and with it `keras.utils.load_img`, takes the nearest of `length` pixels for each of `pixels` new ones."""
    step = length / pixels
    # Pillow adds up the steps, whose rounding decides where two are as near.
    return _single(np.floor(np.cumsum([step / 2, *[step] * (pixels - 1)])), length)


def _single(places: Sequence[float] | Floats, length: int) -> Axis:
    found = np.clip(np.asarray(places), 0, length - 1).astype(np.int64)[:, None]
    return Axis(found, np.ones(found.shape, np.float32))


def _cubic(distance: Floats) -> tuple[Floats, Floats]:
    """The weights of the nearer and the farther pixel on one side (Keys 1981, a = −1/2)."""
    further = distance + 1
    return 1.5 * distance**3 - 2.5 * distance**2 + 1, -0.5 * further**3 + 2.5 * further**2 - 4 * further + 2
