"""Pictures of digits, such as photographs of handwriting, prepared as MNIST's were."""

from __future__ import annotations

import numpy as np

from cnnexplain.inputs.resizing import resize
from cnnexplain.types import Floats

LARGEST = 1000
"""A larger photograph of a digit is first brought to this many pixels on its longer side."""

CONTRAST = 0.1
"""By how much of the way from black to white a digit must stand out from its ground."""


def dark_on_light(picture: Floats) -> bool:
    """Whether a picture shows something dark on a light ground: its border lies nearer to its lightest than to its darkest.

    The ends of the middle 99.6 % of the pixels count as extremes, so that a thin stroke decides and a speck does not.
    """
    gray = picture.mean(axis=-1)
    ground = np.median(_border(gray))
    darkest, lightest = np.percentile(gray, [0.2, 99.8])
    return bool(ground - darkest > lightest - ground)


def center_digit(picture: Floats, height: int, width: int) -> Floats:
    """A light digit on a dark ground, brought to the place and size that MNIST's digits have.

    The ground is made black, the digit's bounding box is scaled, its aspect kept, to 20 of 28 pixels, and its center of mass
    is put in the middle: http://yann.lecun.com/exdb/mnist. A picture without contrast comes back black.

    Args:
        picture: (h, w, C), from 0 to 1.
        height: Rows of the result.
        width: Columns of the result.
    """
    shrink = LARGEST / max(picture.shape[:2])
    if shrink < 1:
        picture = resize(picture, *(max(1, round(side * shrink)) for side in picture.shape[:2]))
    ink = np.clip(picture - _ground(picture.mean(axis=-1))[..., None], 0, None)
    gray = ink.mean(axis=-1)
    # A threshold in the middle of the two classes keeps the paper's grain and shade out of the bounding box.
    threshold = _otsu(gray)
    rows, columns = (np.flatnonzero((gray > threshold).any(axis=axis)) for axis in (1, 0))
    canvas = np.zeros((height, width, picture.shape[-1]), np.float32)
    if not rows.size or gray.max() < CONTRAST:
        return canvas
    digit = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    stroke = np.median(digit[digit.mean(axis=-1) > threshold])
    strokes = np.clip((digit - threshold / 2) / max(stroke - threshold / 2, 1e-6), 0, 1)
    ratio = min(height * 20 / 28 / strokes.shape[0], width * 20 / 28 / strokes.shape[1])
    small = resize(strokes, *(max(1, round(side * ratio)) for side in strokes.shape[:2]))
    # A thin pen's stroke is less than a pixel wide now; it becomes as bright as those of MNIST.
    small = np.clip(small / np.quantile(small[small > small.max() / 4], 0.75), 0, 1)
    mass = small.sum(axis=-1)
    place = []
    for axis, side in enumerate((height, width)):
        center = (mass.sum(axis=1 - axis) @ np.arange(mass.shape[axis])) / mass.sum()
        place.append(int(np.clip(round((side - 1) / 2 - center), 0, side - mass.shape[axis])))
    top, left = place
    canvas[top : top + small.shape[0], left : left + small.shape[1]] = small
    return canvas


def _border(gray: Floats) -> Floats:
    return np.concatenate([gray[0], gray[-1], gray[:, 0], gray[:, -1]])


def _ground(gray: Floats) -> Floats:
    """The dark ground behind what is light, with its shades: a surface of second degree through the pixels that fit it.

    Pixels that stand out by more than three robust standard deviations are taken for ink and left out of the next fit.
    """
    y, x = np.meshgrid(*(np.linspace(-1, 1, side) for side in gray.shape), indexing="ij")
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1)
    step = max(1, max(gray.shape) // 64)
    some, values = terms[::step, ::step].reshape(-1, 6), gray[::step, ::step].ravel()
    kept = values <= np.median(values) + 1e-6
    for _ in range(8):
        coefficients = np.linalg.lstsq(some[kept], values[kept], rcond=None)[0]
        residuals = values - some @ coefficients
        kept = residuals < 3 * 1.4826 * np.median(np.abs(residuals)) + 1e-6
    return np.asarray(terms @ coefficients, np.float32)


def _otsu(gray: Floats) -> float:
    """The threshold that best separates a gray picture into two classes (Otsu 1979), by the variance between them."""
    counts, edges = np.histogram(gray, bins=256)
    centers = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)
    above = below[-1] - below
    sums = np.cumsum(counts * centers)
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (sums / below - (sums[-1] - sums) / above) ** 2
    return float(edges[1:][np.nanargmax(np.where(above > 0, between, -1))])
