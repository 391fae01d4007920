"""Random square views of a picture that is larger than the network's input."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from keras import ops

from cnnexplain.numerics import affine_views

if TYPE_CHECKING:
    from jaxtyping import Float32

    from cnnexplain import Preprocess
    from cnnexplain_plugins.activation_maximization.recipes import Recipe

BEYOND = 0.04
"""The share of a picture's side by which a view may extend beyond its border, where everything is gray."""

NUMBERS = 8
"""The count of numbers that define a view; see `draw`."""


def canvas_size(recipe: Recipe, preprocess: Preprocess) -> tuple[int, int]:
    """Rows and columns of the picture, with the aspect ratio of the input."""
    longer = max(preprocess.height, preprocess.width)
    return round(recipe.canvas * preprocess.height / longer), round(recipe.canvas * preprocess.width / longer)


def draw(recipe: Recipe, preprocess: Preprocess, count: int, random: np.random.Generator) -> Float32[np.ndarray, "V 8"]:
    """Random views, with sizes, rotations and positions within the limits of the recipe.

    Returns:
        For each view the six numbers of the affine map (2, 3) from a position in the view, in pixels from its middle, to a
        position in the picture, in pixels from its first pixel; and the shift of the noise in rows and columns.
    """
    rows, columns = canvas_size(recipe, preprocess)
    side = random.uniform(recipe.smallest_view, recipe.largest_view, count)
    angle = np.deg2rad(random.uniform(-recipe.rotate, recipe.rotate, count))
    # Views extend beyond the first and the last row by at most the same share.
    first = -BEYOND + random.uniform(0, 1, (2, count)) * (1 + 2 * BEYOND - side)
    middle = (first + side / 2) * np.array([[rows], [columns]]) - 0.5
    scale = side * rows / preprocess.height
    rotation = np.array(
        [[np.cos(angle), -np.sin(angle), middle[0] / scale], [np.sin(angle), np.cos(angle), middle[1] / scale]]
    )
    shift = random.integers(0, [preprocess.height, preprocess.width], (count, 2))
    return np.concatenate([(scale * rotation).reshape(6, count).T, shift], axis=1).astype(np.float32)


@dataclass(frozen=True)
class Views:
    """Maps pictures with values from 0 to 1 to views in the model's input range.

    Args:
        height: Rows of the input.
        width: Columns of the input.
        black: The input for a black pixel, a number for each channel.
        white: The input for a white pixel.
        reversed: Whether the model's channels are in BGR order.
        noise: The standard deviation of the noise, as a share of the input range.
        seed: Seed of the noise.
    """

    height: int
    width: int
    black: tuple[float, ...]
    white: tuple[float, ...]
    reversed: bool
    noise: float
    seed: int

    @classmethod
    def of(cls, recipe: Recipe, preprocess: Preprocess, seed: int) -> Views:
        """The views of a recipe, for a model's input."""
        return cls(
            preprocess.height,
            preprocess.width,
            tuple(map(float, preprocess.black)),
            tuple(map(float, preprocess.white)),
            preprocess.color == "bgr",
            recipe.view_noise,
            seed,
        )

    def show(self, u: Any, views: Any) -> Any:
        """The views of pictures.

        Args:
            u: (N, H, W, C), from 0 to 1, in RGB order; gray beyond their borders.
            views: (V, 8), from `draw`; all pictures are seen in the same views.

        Returns:
            (N · V, h, w, C) in the model's input range, the views of the first picture first.
        """
        channels, count = u.shape[-1], views.shape[0]
        black, span = np.array(self.black, np.float32), np.subtract(self.white, self.black, dtype=np.float32)
        u = ops.flip(ops.convert_to_tensor(u), axis=-1) if self.reversed else ops.convert_to_tensor(u)
        views = ops.convert_to_tensor(views)
        maps = ops.reshape(views[:, :6], (count, 2, 3))
        seen = affine_views(ops.multiply(u - 0.5, span), maps, self.height, self.width)
        shifted = self._shifted_noise(views, black + span / 2, span) if self.noise else black + span / 2
        return ops.reshape(ops.add(seen, shifted), (-1, self.height, self.width, channels))

    def _shifted_noise(self, views: Any, gray: Float32[np.ndarray, " C"], span: Float32[np.ndarray, " C"]) -> Any:
        """The same noise around gray, shifted cyclically for each view, (V, h, w, C); it is as good as independent noise."""
        noise = _noise(self.height, self.width, len(gray), self.seed)
        noise = ops.convert_to_tensor(gray + span * self.noise * (noise[..., ::-1] if self.reversed else noise))
        starts = ops.cast(ops.pad(views[:, 6:], ((0, 0), (0, 1))), "int32")
        size = (self.height, self.width, len(gray))
        return ops.stack([ops.slice(noise, starts[view], size) for view in range(views.shape[0])])


@lru_cache(4)
def _noise(height: int, width: int, channels: int, seed: int) -> Float32[np.ndarray, "rows columns channels"]:
    """Noise, repeated in both directions, so that every cyclic shift of it is a part."""
    noise = np.random.default_rng(seed).normal(size=(height, width, channels)).astype(np.float32)
    return np.tile(noise, (2, 2, 1))
