"""The mathematics of saliency maps (Simonyan, Vedaldi, Zisserman 2013, arXiv:1312.6034, section 3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cnnexplain.plugin import Result

if TYPE_CHECKING:
    from cnnexplain import Classifier, Floats, Objective

CROP = 224 / 256
"""The side of the paper's crops as a share of the image's side: 224 of 256 pixels."""


def saliency(classifier: Classifier, images: Floats, objectives: list[Objective], *, ten_crops: bool) -> Result:
    """The gradient of each image's target logit and the saliency map made of it; see `run`."""
    if ten_crops:
        gradient, maps = _ten_crops(classifier, images, objectives)
    else:
        gradient = classifier.gradient(images, objectives)
        maps = np.abs(gradient).max(axis=-1)
    peaks = [np.unravel_index(each.argmax(), each.shape) for each in maps]
    facts = {
        "logit": [float(value) for value in classifier.values(images, objectives)],
        "peak": [float(each.max()) for each in maps],
        "peak_pixel": [[int(row), int(column)] for row, column in peaks],
    }
    return Result({"gradient": gradient, "saliency": maps}, facts)


def _ten_crops(classifier: Classifier, images: Floats, objectives: list[Objective]) -> tuple[Floats, Floats]:
    """The means, over the ten crops, of the gradient with respect to the whole image and of the map made of it.

    A crop enlarged to the model's input is R x Cᵀ, with one matrix for the rows and one for the columns; by the chain rule
    the gradient g at the enlarged crop is Rᵀ g C at the image.
    """
    height, width = images.shape[1:3]
    corners_and_middle = [(0, 0), (0, 1), (1, 0), (1, 1), (0.5, 0.5)]
    gradients = np.zeros_like(images)
    maps = np.zeros(images.shape[:3], np.float32)
    for down, right in corners_and_middle:
        for step in (1, -1):
            rows, columns = _enlarge(height, down), _enlarge(width, right)[::step]
            crops = np.einsum("ip,npqc,jq->nijc", rows, images, columns, optimize=True)
            at_crop = classifier.gradient(crops, objectives)
            gradient = np.einsum("ip,nijc,jq->npqc", rows, at_crop, columns, optimize=True)
            gradients += gradient / 10
            maps += np.abs(gradient).max(axis=-1) / 10
    return gradients, maps


def _enlarge(side: int, place: float) -> Floats:
    """The matrix (side, side) that cuts `CROP` of a side out, at its start (place 0) to its end (1), and enlarges it.

    Bilinear, with pixel centres at half numbers; beyond the crop's outermost centres its outermost pixels go on.
    """
    size = max(1, round(CROP * side))
    start = round(place * (side - size))
    centres = np.clip((np.arange(side) + 0.5) * size / side - 0.5, 0, size - 1)
    distance = np.abs(centres[:, None] + start - np.arange(side))
    return np.asarray(np.maximum(0, 1 - distance), np.float32)
