"""Crops of images as linear maps, so that gradients can be brought back from a crop to the image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from cnnexplain.numerics.interpolation import bilinear

if TYPE_CHECKING:
    from cnnexplain.model.classifier import Classifier
    from cnnexplain.model.objectives import Objective
    from cnnexplain.types import Floats


def ten_crops(height: int, width: int, share: float = 224 / 256) -> Iterator[tuple[Floats, Floats]]:
    """The four corners and the middle of an image, each as it is and mirrored, enlarged to the image's size.

    A crop of an image x is `rows @ x @ columns.T`. By the chain rule a gradient g with respect to the crop is
    `rows.T @ g @ columns` with respect to the image.

    Args:
        height: H of the image.
        width: W of the image.
        share: The side of the crops as a share of the image's side; Krizhevsky et al. 2012 took 224 of 256 pixels.

    Yields:
        (rows, columns), matrices (H, H) and (W, W) that interpolate linearly.
    """
    for down, right in [(0, 0), (0, 1), (1, 0), (1, 1), (0.5, 0.5)]:
        rows, columns = _cut(height, down, share), _cut(width, right, share)
        yield from ((rows, columns), (rows, columns[::-1]))


def _cut(side: int, place: float, share: float) -> Floats:
    """The matrix (side, side) that cuts a part of a side out, at its start (place 0) to its end (1), and enlarges it."""
    size = max(1, round(share * side))
    start = round(place * (side - size))
    return np.pad(bilinear(size, side), ((0, 0), (start, side - size - start))).astype(np.float32)


def ten_crop_gradients(classifier: Classifier, images: Floats, objectives: Sequence[Objective]) -> Floats:
    """The gradients of objectives at the ten crops of each image, with respect to the image.

    Args:
        classifier: The model.
        images: (N, H, W, C) in the model's input range.
        objectives: One for each image.

    Returns:
        (10, N, H, W, C), in units of the objectives per unit of the input.
    """
    gradients = []
    for rows, columns in ten_crops(*images.shape[1:3]):
        crops = np.einsum("ip,npqc,jq->nijc", rows, images, columns, optimize=True)
        slopes = classifier.gradient(crops, objectives)
        gradients.append(np.einsum("ip,nijc,jq->npqc", rows, slopes, columns, optimize=True))
    return np.stack(gradients)
