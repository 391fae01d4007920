"""The images of each epoch of a training: in a new order, and each moved at random."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

import keras
import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float32, Int64, UInt8

Made = TypeVar("Made")

SHIFT, ROTATION, ZOOM = 1.5, 10.0, 0.1
"""The maximum shift in pixels, rotation in degrees and relative change of size of a training image."""

PART = 1_000
"""The images that are moved at once, so that their intermediate results fit into memory."""


def augmented(
    images: UInt8[np.ndarray, "N 28 28"], digits: Int64[np.ndarray, " N"], seed: int, epoch: int
) -> tuple[Float32[np.ndarray, "N 28 28 1"], Int64[np.ndarray, " N"]]:
    """The images of an epoch, each moved at random, and their digits, in random order.

    NumPy draws all random numbers, so order and moves are the same on every backend.

    Args:
        images: (N, 28, 28), from 0 to 255.
        digits: (N,).
        seed: The seed of the training.
        epoch: The number of the epoch; each has its own order and moves.

    Returns:
        The images, (N, 28, 28, 1) in [0, 1], and the digits (N,).
    """
    random = np.random.default_rng([seed, epoch])
    order = random.permutation(len(images))
    moves = affine(len(images), random)
    moved = np.empty((len(images), 28, 28, 1), np.float32)
    for start in range(0, len(images), PART):
        part = slice(start, start + PART)
        scaled = images[order[part], ..., None].astype(np.float32) / 255
        moved[part] = keras.ops.convert_to_numpy(
            keras.ops.image.affine_transform(scaled, moves[part], "bilinear", "constant", data_format="channels_last")
        )
    return moved, digits[order]


def affine(count: int, random: np.random.Generator) -> Float32[np.ndarray, "{count} 8"]:
    """Random small shifts, rotations and zooms about the center of a 28×28 image, for `keras.ops.image.affine_transform`.

    Returns:
        (count, 8): each row maps an output pixel to the input pixel from which it is read.
    """
    angle = np.deg2rad(random.uniform(-ROTATION, ROTATION, count))
    size = 1 + random.uniform(-ZOOM, ZOOM, count)
    right, down = random.uniform(-SHIFT, SHIFT, (2, count))
    cos, sin, middle = size * np.cos(angle), size * np.sin(angle), 13.5
    across = middle - middle * cos + middle * sin + right
    along = middle - middle * sin - middle * cos + down
    zero = np.zeros(count)
    return np.stack([cos, -sin, across, sin, cos, along, zero, zero], axis=1).astype(np.float32)


def ahead(make: Callable[[int], Made], count: int) -> Iterator[Made]:
    """make(0), …, make(count - 1), each made on another thread while the caller uses the previous one."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        upcoming = pool.submit(make, 0)
        for number in range(1, count + 1):
            made = upcoming.result()
            if number < count:
                upcoming = pool.submit(make, number)
            yield made
