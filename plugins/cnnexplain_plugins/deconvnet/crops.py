"""The part of an image that a unit sees, as a crop: where it lies, how it is cut out, and how it is put back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from cnnexplain import Axis, Field, Floats, Spans

Corner = tuple[int, int]
"""The row and the column of the image where a crop begins, negative where it reaches beyond the border."""


def size(field: Field, most: Sequence[int]) -> tuple[int, int]:
    """Rows and columns of the crop to a receptive field, the largest of the layer's, `most` of them at most."""
    return min(field.rows.size, most[0]), min(field.columns.size, most[1])


def corner(field: Field, row: int, column: int, shape: Sequence[int], most: Sequence[int]) -> Corner:
    """Where the crop of unit (row, column) begins, in an image of `shape`.

    Where the receptive field is larger than `most`, the crop lies around its middle, inside the image.
    """
    return (
        _first(field.rows, row, shape[0], most[0]),
        _first(field.columns, column, shape[1], most[1]),
    )


def middle(field: Field, row: int, column: int, shape: Sequence[int]) -> tuple[float, float]:
    """The middle of what unit (row, column) sees, in pixels of an image of `shape`, inside it."""
    return _middle(field.rows, row, shape[0]), _middle(field.columns, column, shape[1])


def cut(image: Floats, at: Corner, like: Floats) -> None:
    """Writes the part of an image (H, W, C) that begins at `at` into `like` (h, w, C), which stays as it is beyond it."""
    inside, place = overlap(at, like.shape, image.shape)
    like[place] = image[inside]


def paste(crop: Floats, at: Corner, shape: Sequence[int]) -> Floats:
    """A crop (h, w, C) that begins at `at` in an image of zeros of `shape` (H, W): what `cut` took, in its place."""
    image = np.zeros((*shape[:2], crop.shape[-1]), crop.dtype)
    inside, place = overlap(at, crop.shape, shape)
    image[inside] = crop[place]
    return image


def overlap(at: Corner, crop: Sequence[int], image: Sequence[int]) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Where a crop and an image have pixels in common: their place in the image, and in the crop."""
    spans = [
        (max(first, 0), min(first + length, whole)) for first, length, whole in zip(at, crop[:2], image[:2], strict=True)
    ]
    (top, bottom), (left, right) = spans
    inside = slice(top, bottom), slice(left, right)
    return inside, (slice(top - at[0], bottom - at[0]), slice(left - at[1], right - at[1]))


def _first(axis: Axis | Spans, unit: int, length: int, most: int) -> int:
    if axis.size <= most:
        return axis.first(unit)
    return min(max(round(_middle(axis, unit, length) - (most - 1) / 2), 0), length - most)


def _middle(axis: Axis | Spans, unit: int, length: int) -> float:
    return min(max(axis.middle(unit), 0), length - 1)
