"""Prepares images of digits, such as photographs of handwriting, like those of MNIST."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cnnexplain.inputs.resizing import resize

if TYPE_CHECKING:
    from jaxtyping import Float, Float32

WORKING_SIZE = 1000
"""Larger images are first resized to this many pixels on the longer side."""

CONTRAST = 0.1
"""The minimum contrast of a digit, as a share of the range from black to white."""


def dark_on_light(image: Float[np.ndarray, "h w C"]) -> bool:
    """Whether an image shows something dark on a light background: its border is closer to its highest than lowest value.

    The highest and lowest values are those of the middle 99.6% of the pixels, so that a thin stroke counts but a speck does
    not.
    """
    gray = image.mean(axis=-1)
    background = np.median(_border(gray))
    darkest, lightest = np.percentile(gray, [0.2, 99.8])
    return bool(background - darkest > lightest - background)


def center_digit(image: Float[np.ndarray, "h w C"], height: int, width: int) -> Float32[np.ndarray, "H W C"]:
    """Moves and scales a light digit on a dark background to the position and size of MNIST's digits.

    The background becomes black, the bounding box of the digit is scaled to 20 of 28 pixels with its aspect ratio kept, and
    its center of mass moves to the center: http://yann.lecun.com/exdb/mnist. An image without contrast becomes black.

    Args:
        image: (h, w, C), from 0 to 1.
        height: Rows of the result.
        width: Columns of the result.
    """
    shrink = WORKING_SIZE / max(image.shape[:2])
    if shrink < 1:
        image = resize(image, *(max(1, round(side * shrink)) for side in image.shape[:2]))
    ink = np.clip(image - _background(image.mean(axis=-1))[..., None], 0, None)
    gray = ink.mean(axis=-1)
    # The threshold keeps grain and shadows of the paper out of the bounding box.
    threshold = _otsu(gray)
    rows, columns = (np.flatnonzero((gray > threshold).any(axis=axis)) for axis in (1, 0))
    canvas = np.zeros((height, width, image.shape[-1]), np.float32)
    if not rows.size or gray.max() < CONTRAST:
        return canvas
    digit = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    stroke = np.median(digit[digit.mean(axis=-1) > threshold])
    strokes = np.clip((digit - threshold / 2) / max(stroke - threshold / 2, 1e-6), 0, 1)
    ratio = min(height * 20 / 28 / strokes.shape[0], width * 20 / 28 / strokes.shape[1])
    small = resize(strokes, *(max(1, round(side * ratio)) for side in strokes.shape[:2]))
    # Strokes of a thin pen are now less than a pixel wide. Make them as bright as MNIST's.
    small = np.clip(small / np.quantile(small[small > small.max() / 4], 0.75), 0, 1)
    mass = small.sum(axis=-1)
    offsets = []
    for axis, side in enumerate((height, width)):
        center = (mass.sum(axis=1 - axis) @ np.arange(mass.shape[axis])) / mass.sum()
        offsets.append(int(np.clip(round((side - 1) / 2 - center), 0, side - mass.shape[axis])))
    top, left = offsets
    canvas[top : top + small.shape[0], left : left + small.shape[1]] = small
    return canvas


def _border(gray: Float[np.ndarray, "h w"]) -> Float[np.ndarray, " pixels"]:
    return np.concatenate([gray[0], gray[-1], gray[:, 0], gray[:, -1]])


def _background(gray: Float[np.ndarray, "h w"]) -> Float32[np.ndarray, "h w"]:
    """The dark background with its shading: a quadratic surface fitted to the pixels.

    Pixels that are brighter by more than three robust standard deviations count as ink, and are excluded from the next fit.
    """
    y, x = np.meshgrid(*(np.linspace(-1, 1, side) for side in gray.shape), indexing="ij")
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1)
    step = max(1, max(gray.shape) // 64)
    sampled, values = terms[::step, ::step].reshape(-1, 6), gray[::step, ::step].ravel()
    kept = values <= np.median(values) + 1e-6
    for _ in range(8):
        coefficients = np.linalg.lstsq(sampled[kept], values[kept], rcond=None)[0]
        residuals = values - sampled @ coefficients
        kept = residuals < 3 * 1.4826 * np.median(np.abs(residuals)) + 1e-6
    return np.asarray(terms @ coefficients, np.float32)


def _otsu(gray: Float[np.ndarray, "h w"]) -> float:
    """The threshold that maximizes the variance between the two classes that it separates (Otsu 1979)."""
    counts, edges = np.histogram(gray, bins=256)
    centers = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)
    above = below[-1] - below
    sums = np.cumsum(counts * centers)
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (sums / below - (sums[-1] - sums) / above) ** 2
    return float(edges[1:][np.nanargmax(np.where(above > 0, between, -1))])
