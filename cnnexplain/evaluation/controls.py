"""Maps that explain no network: what a method must beat before its score means anything."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from cnnexplain.evaluation.generators import generator
from cnnexplain.inputs.preprocess import Preprocess

if TYPE_CHECKING:
    from jaxtyping import Float, Float64

Control: TypeAlias = "Callable[[Float[np.ndarray, 'H W C'], Preprocess, int], Float64[np.ndarray, 'H W']]"
"""(image, preprocess, seed) ↦ its map."""


def random_map(image: Float[np.ndarray, "H W C"], _: Preprocess, seed: int) -> Float64[np.ndarray, "H W"]:
    """Independent uniform numbers, the same whenever the image and the seed are the same."""
    return generator(seed, image, "random").uniform(size=image.shape[:2])


def sobel(image: Float[np.ndarray, "H W C"], *_: object) -> Float64[np.ndarray, "H W"]:
    """The magnitude of the gradient of the image by Sobel's filters, the root of the sum of squares over the channels."""
    padded = np.pad(image.astype(np.float64), ((1, 1), (1, 1), (0, 0)), mode="edge")
    down = padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:]
    right = padded[:-2] + 2 * padded[1:-1] + padded[2:]
    squares = (down[2:] - down[:-2]) ** 2 + (right[:, 2:] - right[:, :-2]) ** 2
    return np.asarray(np.sqrt(squares.sum(axis=-1)))


def centered_gaussian(image: Float[np.ndarray, "H W C"], *_: object) -> Float64[np.ndarray, "H W"]:
    """A Gaussian at the center, with standard deviations of a quarter of the height and of the width."""
    rows, columns = ((np.arange(side) - (side - 1) / 2) / (side / 4) for side in image.shape[:2])
    return np.asarray(np.exp(-(rows[:, None] ** 2 + columns**2) / 2))


def distance_to_black(image: Float[np.ndarray, "H W C"], preprocess: Preprocess, *_: object) -> Float64[np.ndarray, "H W"]:
    """|x − b| for the black baseline b, summed over the channels."""
    return np.asarray(np.abs(image.astype(np.float64) - preprocess.black).sum(axis=-1))


CONTROLS: dict[str, Control] = {
    "random": random_map,
    "sobel": sobel,
    "gaussian": centered_gaussian,
    "|input − black|": distance_to_black,
}
"""The controls by name."""
