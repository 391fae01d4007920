"""Resizes images (h, w, C): stretched, cropped to the center, or padded with black."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from cnnexplain.inputs.literals import Interpolation

if TYPE_CHECKING:
    from jaxtyping import Float, Float32


def resize(
    image: Float[np.ndarray, "h w C"],
    height: int,
    width: int,
    interpolation: Interpolation = "bilinear",
    *,
    bounded: bool = True,
) -> Float32[np.ndarray, "H W C"]:
    """Resizes an image to a size, without keeping its aspect ratio; with anti-aliasing except for "nearest".

    `Preprocess.grid` resizes without anti-aliasing. If `bounded`, values are clipped to 0 and 1.
    """
    method = Image.Resampling[interpolation.upper()]
    channels = [
        np.asarray(Image.fromarray(np.ascontiguousarray(channel)).resize((width, height), method))
        for channel in np.moveaxis(image, -1, 0)
    ]
    resized = np.stack(channels, axis=-1)
    # A bicubic filter overshoots at edges.
    return np.asarray(np.clip(resized, 0, 1) if bounded else resized, np.float32)


def middle(image: Float[np.ndarray, "h w C"], aspect: float, share: float) -> Float32[np.ndarray, "rows columns C"]:
    """The center of an image, in whole pixels.

    Args:
        image: The image.
        aspect: The ratio of rows to columns of the part to take.
        share: The share of the sides of the largest part with this aspect ratio.
    """
    top, left, rows, columns = middle_part(image.shape[0], image.shape[1], aspect, share)
    return np.asarray(image[top : top + rows, left : left + columns], np.float32)


def middle_part(height: int, width: int, aspect: float, share: float) -> tuple[int, int, int, int]:
    """The first row, the first column, and the numbers of rows and columns, of what `middle` takes from an image."""
    rows = max(1, round(share * min(height, width * aspect)))
    columns = max(1, round(share * min(width, height / aspect)))
    return (height - rows) // 2, (width - columns) // 2, rows, columns


def middle_part_in_keras(height: int, width: int, tall: int, wide: int, share: float) -> tuple[int, int, int, int]:
    """Like `middle_part` for an input of `tall` rows and `wide` columns, rounded like Keras' `crop_to_aspect_ratio=True`."""
    rows = int(np.float32(width * tall) / np.float32(wide))
    columns = int(np.float32(height * wide) / np.float32(tall))
    rows, columns = (max(1, int(share * min(sides))) for sides in ((height, rows), (width, columns)))
    return (height - rows) // 2, (width - columns) // 2, rows, columns


def letterbox(
    image: Float[np.ndarray, "h w C"],
    height: int,
    width: int,
    interpolation: Interpolation = "bilinear",
    *,
    bounded: bool = True,
) -> Float32[np.ndarray, "H W C"]:
    """The whole image on black, centered and as large as it fits without changing its aspect ratio."""
    top, left, rows, columns = place(image.shape[0], image.shape[1], height, width)
    canvas = np.zeros((height, width, image.shape[-1]), np.float32)
    canvas[top : top + rows, left : left + columns] = resize(image, rows, columns, interpolation, bounded=bounded)
    return canvas


def place(height: int, width: int, tall: int, wide: int) -> tuple[int, int, int, int]:
    """The first row, the first column, and the numbers of rows and columns, of an image in the result of `letterbox`.

    Args:
        height: Rows of the image.
        width: Columns of the image.
        tall: Rows of the input.
        wide: Columns of the input.
    """
    ratio = min(tall / height, wide / width)
    rows, columns = (max(1, round(side * ratio)) for side in (height, width))
    return (tall - rows) // 2, (wide - columns) // 2, rows, columns


def place_in_keras(height: int, width: int, tall: int, wide: int) -> tuple[int, int, int, int]:
    """Like `place`, rounded like Keras' `pad_to_aspect_ratio=True`."""
    image, whole = np.array([height, width], np.float32), np.array([tall, wide], np.float32)
    fitted = image / (image / whole).max()
    top, left = (max(0, int(room)) for room in (whole - fitted) / 2)
    rows, columns = (max(1, int(side)) for side in fitted)
    return top, left, rows, columns
