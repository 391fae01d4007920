"""Random views of a picture, slightly shifted, rotated and zoomed, that differ in each step."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np
from keras import ops

from cnnexplain.numerics import affine_views

if TYPE_CHECKING:
    from jaxtyping import Float, Float32, Integer, Num

    from cnnexplain_plugins.activation_maximization.regularization import Regularization


def show(z: Any, numbers: Any) -> Any:
    """T z, for tensors and the numbers of a `View`."""
    return ops.squeeze(affine_views(z, ops.reshape(numbers, (1, 2, 3)), *z.shape[1:3]), axis=1)


class View:
    """A linear map T of pictures z (N, H, W, C): each pixel is read at another position, with bilinear interpolation.

    Beyond the border, z is 0.

    Args:
        shape: (H, W).
        shift: The shift down and to the right, in pixels.
        degrees: The rotation around the middle, counterclockwise.
        zoom: The factor by which the picture is enlarged.

    Attributes:
        numbers: (6,), which define the map for `show`.
    """

    def __init__(self, shape: tuple[int, ...], shift: Num[np.ndarray, " 2"], degrees: float, zoom: float) -> None:
        self._shape = shape
        middle = (np.array(shape) - 1) / 2
        angle = np.deg2rad(degrees)
        rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) / zoom
        offset = middle - shift @ rotation
        self.numbers = np.concatenate([rotation.T, offset[:, None]], axis=1).ravel().astype(np.float32)
        row, column = ((_from_middle(*shape) - shift) @ rotation + middle).T
        tops, down = _neighbors(row, shape[0])
        lefts, right = _neighbors(column, shape[1])
        self._sources = (shape[1] * tops[:, None] + lefts).reshape(4, -1)
        self._weights = (down[:, None] * right).reshape(4, -1).astype(np.float32)

    @classmethod
    def draw(cls, regularization: Regularization, shape: tuple[int, ...], random: np.random.Generator) -> View:
        """A random view within the limits of the regularization."""
        down, right, turn, size = random.uniform(-1, 1, 4)
        shift = regularization.jitter * np.array([down, right])
        return cls(shape, shift, regularization.rotate * turn, (1 + regularization.zoom) ** size)

    def show(self, z: Float[np.ndarray, "N H W C"]) -> Float32[np.ndarray, "N H W C"]:
        """T z: the view that the network is shown."""
        flat = z.reshape(len(z), -1, z.shape[-1])
        seen = sum(w[:, None] * flat[:, s] for w, s in zip(self._weights, self._sources, strict=True))
        return np.asarray(seen, np.float32).reshape(z.shape)

    def adjoint(self, gradient: Float[np.ndarray, "N H W C"]) -> Float32[np.ndarray, "N H W C"]:
        """Tᵀ g: the gradient with respect to the pictures, from the gradient g with respect to the view."""
        count, height, width, channels = gradient.shape
        planes = np.moveaxis(gradient, -1, 1).reshape(count * channels, -1)
        sources = self._sources.ravel()
        sums = [np.bincount(sources, (self._weights * plane).ravel(), height * width) for plane in planes]
        return np.moveaxis(np.asarray(sums, np.float32).reshape(count, channels, height, width), 1, -1)


@functools.cache
def _from_middle(height: int, width: int) -> Float[np.ndarray, "pixels 2"]:
    """The positions of all pixels relative to the middle."""
    axes = [np.arange(length) - (length - 1) / 2 for length in (height, width)]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)


def _neighbors(
    position: Float[np.ndarray, " P"], length: int
) -> tuple[Integer[np.ndarray, "2 P"], Float[np.ndarray, "2 P"]]:
    """The pixels before and after some positions along an axis, and their weights, 0 beyond the border."""
    first = np.floor(position)
    pixels = np.stack([first, first + 1]).astype(int)
    weights = np.stack([1 - (position - first), position - first])
    inside = (pixels >= 0) & (pixels < length)
    return np.where(inside, pixels, 0), np.where(inside, weights, 0)
