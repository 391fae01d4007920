"""The images of each epoch of a training: in a new order, and each deformed at random."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from cnnexplain.inputs.presets import MNIST

if TYPE_CHECKING:
    from jaxtyping import Float, Float32, Int64, UInt8

Made = TypeVar("Made")

SIZE = MNIST.dataset.shape[0]
"""The height and width of an image."""

SHIFT, ROTATION, ZOOM = 1.0, 7.0, 0.1
"""The maximum shift in pixels, rotation in degrees and relative change of size of a training image."""

ELASTIC, SMOOTHNESS = 0.8, 4.0
"""The standard deviations of the elastic displacements and of the Gaussian filter that smooths them, in pixels."""

DEFORMATIONS = 256
"""The number of different deformations in an epoch. Images with the same one are far apart in the order of an epoch."""


def augmented(
    images: UInt8[np.ndarray, "N 28 28"], digits: Int64[np.ndarray, " N"], seed: int, epoch: int
) -> tuple[Float32[np.ndarray, "N 28 28 1"], Int64[np.ndarray, " N"]]:
    """The images of an epoch, each deformed at random, and their digits, in random order.

    NumPy computes them, so that they are the same on every backend.

    Args:
        images: (N, 28, 28), from 0 to 255.
        digits: (N,).
        seed: The seed of the training.
        epoch: The number of the epoch; each has its own order and deformations.

    Returns:
        The images, (N, 28, 28, 1) in [0, 1], and the digits (N,).
    """
    random = np.random.default_rng([seed, epoch])
    order = random.permutation(len(images))
    deformed = np.empty((len(images), SIZE, SIZE), np.float32)
    for number, coordinates in enumerate(sampling_grids(DEFORMATIONS, random)):
        # Many images with one deformation take a tenth of the time of as many deformations.
        deformed[number::DEFORMATIONS] = resample(images[order[number::DEFORMATIONS]], coordinates)
    deformed /= 255
    return deformed[..., None], digits[order]


def sampling_grids(count: int, random: np.random.Generator) -> Float[np.ndarray, "{count} 2 28 28"]:
    """Random deformations: shifts, rotations and zooms about the center, and elastic displacements.

    The elastic displacements are those of P. Simard, D. Steinkraus, J. Platt: Best Practices for Convolutional Neural
    Networks Applied to Visual Document Analysis (ICDAR 2003).

    Returns:
        (count, 2, 28, 28): the row and column of the input from which each pixel of the output is read.
    """
    angle = np.deg2rad(random.uniform(-ROTATION, ROTATION, count))
    size = 1 + random.uniform(-ZOOM, ZOOM, count)
    shift = random.uniform(-SHIFT, SHIFT, (count, 2, 1, 1))
    cos, sin = size * np.cos(angle), size * np.sin(angle)
    turn = np.stack([cos, sin, -sin, cos], axis=1).reshape(count, 2, 2)
    middle = (SIZE - 1) / 2
    grid = np.indices((SIZE, SIZE)) - middle
    # The noise reaches as far beyond the image as the filter.
    margin = int(3 * SMOOTHNESS)
    distances = np.arange(SIZE)[:, None] + margin - np.arange(SIZE + 2 * margin)
    smooth = np.exp(-0.5 * (distances / SMOOTHNESS) ** 2)
    smooth /= np.linalg.norm(smooth, axis=1, keepdims=True)
    noise = random.normal(0, ELASTIC, (count, 2, SIZE + 2 * margin, SIZE + 2 * margin))
    coordinates: Float[np.ndarray, "{count} 2 28 28"] = np.einsum("nij,jhw->nihw", turn, grid) + middle + shift
    return coordinates + smooth @ noise @ smooth.T


def resample(
    images: UInt8[np.ndarray, "n 28 28"], coordinates: Float[np.ndarray, "2 28 28"]
) -> Float32[np.ndarray, "n 28 28"]:
    """Images read at other coordinates, by bilinear interpolation; around an image, there are zeros.

    Args:
        images: (n, 28, 28).
        coordinates: (2, 28, 28), the row and column from which each pixel is read, the same for all images.
    """
    # A border of zeros around each image, and images along the last axis, which is contiguous in memory.
    wide = SIZE + 2
    bordered = np.zeros((wide, wide, len(images)), np.float32)
    bordered[1:-1, 1:-1] = images.transpose(1, 2, 0)
    pixels = bordered.reshape(wide * wide, -1)
    coordinates = np.clip(coordinates + 1, 0, wide - 1).reshape(2, -1)
    corner = np.minimum(coordinates.astype(np.int64), wide - 2)
    below, right = (coordinates - corner).astype(np.float32)[..., None]
    first = corner[0] * wide + corner[1]
    top = pixels[first] * (1 - right) + pixels[first + 1] * right
    bottom = pixels[first + wide] * (1 - right) + pixels[first + wide + 1] * right
    result: Float32[np.ndarray, "784 n"] = top * (1 - below) + bottom * below
    return result.T.reshape(len(images), SIZE, SIZE)


@contextmanager
def prefetch(make: Callable[[int], Made], count: int) -> Iterator[Iterator[Made]]:
    """A context with make(0), …, make(count - 1), each made on another thread while the caller uses the previous one."""
    with ThreadPoolExecutor(max_workers=1) as pool:

        def made() -> Iterator[Made]:
            upcoming = pool.submit(make, 0)
            for number in range(1, count + 1):
                present = upcoming.result()
                if number < count:
                    upcoming = pool.submit(make, number)
                yield present

        yield made()
