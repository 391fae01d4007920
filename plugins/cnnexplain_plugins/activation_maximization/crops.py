"""Random square views of a picture that is larger than the network's input, as the network is shown them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from keras import ops

if TYPE_CHECKING:
    from cnnexplain import Floats, Preprocess
    from cnnexplain_plugins.activation_maximization.recipes import Recipe

BEYOND = 0.04
"""By how much of the picture's side a view may lie beyond its border, where all is gray."""

NUMBERS = 8
"""Of which a view consists; see `draw`."""


def canvas_size(recipe: Recipe, preprocess: Preprocess) -> tuple[int, int]:
    """Rows and columns of the picture, in the aspect of the input."""
    longer = max(preprocess.height, preprocess.width)
    return round(recipe.canvas * preprocess.height / longer), round(recipe.canvas * preprocess.width / longer)


def draw(recipe: Recipe, preprocess: Preprocess, count: int, random: np.random.Generator) -> Floats:
    """Views at random, each as large, as far turned and as far outside as the recipe lets it be.

    Returns:
        (V, 8): the six numbers of the map (2, 3) from a place in the view, in pixels from its middle, to one in the picture,
        in pixels from its first; and by how many rows and columns the noise is moved.
    """
    rows, columns = canvas_size(recipe, preprocess)
    side = random.uniform(recipe.smallest_view, recipe.largest_view, count)
    angle = np.deg2rad(random.uniform(-recipe.rotate, recipe.rotate, count))
    # From a view just as far beyond the first row as the share, to one as far beyond the last.
    first = -BEYOND + random.uniform(0, 1, (2, count)) * (1 + 2 * BEYOND - side)
    middle = (first + side / 2) * np.array([[rows], [columns]]) - 0.5
    scale = side * rows / preprocess.height
    turned = np.array(
        [[np.cos(angle), -np.sin(angle), middle[0] / scale], [np.sin(angle), np.cos(angle), middle[1] / scale]]
    )
    moved = random.integers(0, [preprocess.height, preprocess.width], (count, 2))
    return np.concatenate([(scale * turned).reshape(6, count).T, moved], axis=1).astype(np.float32)


@dataclass(frozen=True)
class Views:
    """What maps pictures in [0, 1] to views of them in the model's input range.

    Args:
        height: Rows of the input.
        width: Columns of the input.
        black: The input for a black pixel, a number for each channel.
        white: The input for a white pixel.
        reversed: Whether the model's channels are blue, green, red.
        noise: The standard deviation of the noise, in parts of the input range.
        seed: Decides the noise.
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
            u: (N, H, W, C), from 0 to 1, red before blue. Around them lies gray.
            views: (V, 8), as `draw` gives them; all pictures are seen in the same ones.

        Returns:
            (N · V, h, w, C) in the model's input range, the views of the first picture first.
        """
        rows, columns, channels = u.shape[1:]
        count = views.shape[0]
        # A border of nothing around the pictures, to which all places beyond are moved; and a row for each pixel.
        bordered = ops.pad(ops.convert_to_tensor(u) - 0.5, ((0, 0), (1, 1), (1, 1), (0, 0)))
        pixels = ops.reshape(ops.transpose(bordered, (1, 2, 0, 3)), ((rows + 2) * (columns + 2), -1))
        views = ops.convert_to_tensor(views)
        maps = ops.reshape(views[:, :6], (count, 2, 3))
        places = ops.matmul(_places(self.height, self.width), ops.swapaxes(maps[:, :, :2], 1, 2)) + maps[:, None, :, 2] + 1
        # Just less than the last row, so that the one below it is there.
        row = ops.clip(places[..., 0], 0, rows + 0.999)
        column = ops.clip(places[..., 1], 0, columns + 0.999)
        top, left = ops.floor(row), ops.floor(column)
        down, right = (row - top)[..., None], (column - left)[..., None]
        corner = ops.cast(top * (columns + 2) + left, "int32")
        seen = (
            (1 - down) * (1 - right) * ops.take(pixels, corner, axis=0)
            + (1 - down) * right * ops.take(pixels, corner + 1, axis=0)
            + down * (1 - right) * ops.take(pixels, corner + columns + 2, axis=0)
            + down * right * ops.take(pixels, corner + columns + 3, axis=0)
        )
        seen = ops.transpose(ops.reshape(seen, (count, self.height, self.width, -1, channels)), (3, 0, 1, 2, 4))
        if self.noise:
            seen = seen + self.noise * self._grain(views, channels)
        seen = ops.reshape(seen + 0.5, (-1, self.height, self.width, channels))
        black, span = np.array(self.black, np.float32), np.subtract(self.white, self.black, dtype=np.float32)
        return ops.add(ops.multiply(ops.flip(seen, axis=-1) if self.reversed else seen, span), black)

    def _grain(self, views: Any, channels: int) -> Any:
        """(V, h, w, C), the same noise moved around for each view, which is as good as another one."""
        grain = ops.convert_to_tensor(_noise(self.height, self.width, channels, self.seed))
        moved = ops.cast(views[:, 6:], "int32")
        rows, columns = (ops.arange(length, dtype="int32") for length in (self.height, self.width))
        moves = []
        for view in range(views.shape[0]):
            down = ops.take(grain, ops.mod(rows + moved[view, 0], self.height), axis=0)
            moves.append(ops.take(down, ops.mod(columns + moved[view, 1], self.width), axis=1))
        return ops.stack(moves)


@lru_cache(4)
def _places(height: int, width: int) -> Floats:
    """(h · w, 2), the places of a view's pixels from its middle."""
    axes = [np.arange(length, dtype=np.float32) - (length - 1) / 2 for length in (height, width)]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)


@lru_cache(4)
def _noise(height: int, width: int, channels: int, seed: int) -> Floats:
    return np.random.default_rng(seed).normal(size=(height, width, channels)).astype(np.float32)
