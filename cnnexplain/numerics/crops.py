"""Crops of images as linear maps, so that gradients can be mapped from a crop back to the image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from cnnexplain.numerics.interpolation import bilinear

if TYPE_CHECKING:
    from jaxtyping import Float, Float32

    from cnnexplain.model.classifier import Classifier
    from cnnexplain.model.computation.objectives import Objective


def ten_crops(
    height: int, width: int, share: float = 224 / 256
) -> Iterator[tuple[Float32[np.ndarray, "H H"], Float32[np.ndarray, "W W"]]]:
    """The four corners and the center of an image, with their mirror images, enlarged to the size of the image.

    A crop of an image x is `rows @ x @ columns.T`. By the chain rule, a gradient g with respect to the crop corresponds to
    `rows.T @ g @ columns` with respect to the image.

    Args:
        height: The height H of the image.
        width: The width W of the image.
        share: The side of the crops relative to that of the image; Krizhevsky et al. 2012 use 224 of 256 pixels.

    Yields:
        (rows, columns), matrices (H, H) and (W, W) for linear interpolation.
    """
    for down, right in [(0, 0), (0, 1), (1, 0), (1, 1), (0.5, 0.5)]:
        rows, columns = _cut(height, down, share), _cut(width, right, share)
        yield from ((rows, columns), (rows, columns[::-1]))


def _cut(side: int, place: float, share: float) -> Float32[np.ndarray, "{side} {side}"]:
    """The matrix that crops a side, from its start (place 0) to its end (place 1), and enlarges the crop."""
    size = max(1, round(share * side))
    start = round(place * (side - size))
    return np.pad(bilinear(size, side), ((0, 0), (start, side - size - start))).astype(np.float32)


def ten_crop_gradients(
    classifier: Classifier, images: Float[np.ndarray, "N H W C"], objectives: Sequence[Objective]
) -> Float[np.ndarray, "10 N H W C"]:
    """The gradients of objectives at the ten crops of each image, with respect to the image.

    Args:
        classifier: The model.
        images: (N, H, W, C) in the model's input range.
        objectives: The objective of each image.

    Returns:
        (10, N, H, W, C), in units of the objectives per unit of the input.
    """
    gradients = []
    for rows, columns in ten_crops(*images.shape[1:3]):
        crops = np.einsum("ip,npqc,jq->nijc", rows, images, columns, optimize=True)
        slopes = classifier.gradient(crops, objectives)
        gradients.append(np.einsum("ip,nijc,jq->npqc", rows, slopes, columns, optimize=True))
    return np.stack(gradients)
