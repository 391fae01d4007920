"""Pictures (h, w, C) of other sizes: stretched, cut to their middle, or whole on black."""

from __future__ import annotations

import numpy as np
from PIL import Image

from cnnexplain.inputs.literals import Interpolation
from cnnexplain.types import Floats


def resize(
    picture: Floats, height: int, width: int, interpolation: Interpolation = "bilinear", *, bounded: bool = True
) -> Floats:
    """The whole picture brought to a size, its aspect not kept; anti-aliased, but for "nearest".

    Without anti-aliasing see `Preprocess.grid`. Where it is `bounded` no value is beyond 0 and 1.
    """
    method = Image.Resampling[interpolation.upper()]
    planes = [
        np.asarray(Image.fromarray(np.ascontiguousarray(plane)).resize((width, height), method))
        for plane in np.moveaxis(picture, -1, 0)
    ]
    made = np.stack(planes, axis=-1)
    # A bicubic filter goes beyond black and white at edges.
    return np.asarray(np.clip(made, 0, 1) if bounded else made, np.float32)


def middle(picture: Floats, aspect: float, share: float) -> Floats:
    """The middle of a picture (h, w, C), in whole pixels.

    Args:
        picture: The picture.
        aspect: Rows over columns of the part.
        share: Of the sides of the largest part that has this aspect.
    """
    top, left, rows, columns = middle_part(picture.shape[0], picture.shape[1], aspect, share)
    return np.asarray(picture[top : top + rows, left : left + columns], np.float32)


def middle_part(height: int, width: int, aspect: float, share: float) -> tuple[int, int, int, int]:
    """The first row and column and the numbers of rows and columns of what `middle` takes of a picture of that size."""
    rows = max(1, round(share * min(height, width * aspect)))
    columns = max(1, round(share * min(width, height / aspect)))
    return (height - rows) // 2, (width - columns) // 2, rows, columns


def letterbox(
    picture: Floats, height: int, width: int, interpolation: Interpolation = "bilinear", *, bounded: bool = True
) -> Floats:
    """The whole picture in the middle of black, as large as it fits with its aspect kept."""
    top, left, rows, columns = place(picture.shape[0], picture.shape[1], height, width)
    canvas = np.zeros((height, width, picture.shape[-1]), np.float32)
    canvas[top : top + rows, left : left + columns] = resize(picture, rows, columns, interpolation, bounded=bounded)
    return canvas


def place(height: int, width: int, tall: int, wide: int) -> tuple[int, int, int, int]:
    """The first row and column and the numbers of rows and columns that `letterbox` gives a picture of that size."""
    ratio = min(tall / height, wide / width)
    rows, columns = (max(1, round(side * ratio)) for side in (height, width))
    return (tall - rows) // 2, (wide - columns) // 2, rows, columns


def place_in_keras(height: int, width: int, tall: int, wide: int) -> tuple[int, int, int, int]:
    """As `place`, rounded as Keras' loaders do with `pad_to_aspect_ratio=True`."""
    given, whole = np.array([height, width], np.float32), np.array([tall, wide], np.float32)
    fitted = given / (given / whole).max()
    top, left = (max(0, int(room)) for room in (whole - fitted) / 2)
    rows, columns = (max(1, int(side)) for side in fitted)
    return top, left, rows, columns
