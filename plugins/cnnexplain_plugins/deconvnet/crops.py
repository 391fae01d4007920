"""Crops of an image to the receptive field of a unit: their position, and cutting and pasting them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Shaped

    from cnnexplain import Axis, Field, Spans

Corner = tuple[int, int]
"""The row and the column of the image where a crop begins; negative if it extends beyond the border."""


def size(field: Field, limit: Sequence[int]) -> tuple[int, int]:
    """Height and width of the crops to the receptive fields of a layer: those of the largest field, at most `limit`."""
    return min(field.rows.size, limit[0]), min(field.columns.size, limit[1])


def corner(field: Field, row: int, column: int, shape: Sequence[int], limit: Sequence[int]) -> Corner:
    """Where the crop of the unit at (row, column) begins, in an image of `shape` (H, W).

    If the receptive field is larger than `limit`, the crop lies around its middle, inside the image.
    """
    return (
        _first(field.rows, row, shape[0], limit[0]),
        _first(field.columns, column, shape[1], limit[1]),
    )


def middle(field: Field, row: int, column: int, shape: Sequence[int]) -> tuple[float, float]:
    """The middle of the receptive field of the unit at (row, column), in pixels, inside an image of `shape` (H, W)."""
    return _middle(field.rows, row, shape[0]), _middle(field.columns, column, shape[1])


def cut(image: Shaped[np.ndarray, "H W C"], at: Corner, crop: Shaped[np.ndarray, "h w C"]) -> None:
    """Writes the part of an image that begins at `at` into `crop`, which stays unchanged where the image does not reach."""
    in_image, in_crop = overlap(at, crop.shape, image.shape)
    crop[in_crop] = image[in_image]


def paste(crop: Shaped[np.ndarray, "h w C"], at: Corner, shape: Sequence[int]) -> Shaped[np.ndarray, "H W C"]:
    """An image of zeros of `shape` (H, W), with a crop pasted at `at`: the inverse of `cut`."""
    image = np.zeros((*shape[:2], crop.shape[-1]), crop.dtype)
    in_image, in_crop = overlap(at, crop.shape, shape)
    image[in_image] = crop[in_crop]
    return image


def overlap(at: Corner, crop: Sequence[int], image: Sequence[int]) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """The pixels that a crop and an image have in common: their slices in the image, and in the crop.

    Args:
        at: Where the crop begins in the image.
        crop: Shape of the crop, (h, w) or (h, w, C).
        image: Shape of the image, (H, W) or (H, W, C).
    """
    spans = [
        (max(first, 0), min(first + length, whole)) for first, length, whole in zip(at, crop[:2], image[:2], strict=True)
    ]
    (top, bottom), (left, right) = spans
    in_image = slice(top, bottom), slice(left, right)
    return in_image, (slice(top - at[0], bottom - at[0]), slice(left - at[1], right - at[1]))


def _first(axis: Axis | Spans, unit: int, length: int, limit: int) -> int:
    if axis.size <= limit:
        return axis.first(unit)
    return min(max(round(_middle(axis, unit, length) - (limit - 1) / 2), 0), length - limit)


def _middle(axis: Axis | Spans, unit: int, length: int) -> float:
    return min(max(axis.middle(unit), 0), length - 1)
