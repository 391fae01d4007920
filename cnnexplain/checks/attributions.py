"""The measurements of the checks of gradients and contributions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from cnnexplain.checks.differences import scores, slope_measurement, slopes
from cnnexplain.checks.numbers import difference
from cnnexplain.checks.rounding import ROUNDING
from cnnexplain.numerics import baseline_images
from cnnexplain.plugin.check import Measurement

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Float32, Shaped

    from cnnexplain.plugin.check import Subject

DIRECTIONS, RECTANGLES = 12, 6
"""The number of random directions, and of random rectangles."""

LEAN = 3
"""The slope along the part of a direction that is parallel to the gradient, as a multiple of the slope along its noise."""

WIDE = 3
"""By how many times its limit a comparison must fail at the image itself to be certain, whatever is measured beside it."""

APART, CLEAR = 0.1, 0.02
"""The range of the noise, as a share of the input range, that moves an image off a kink, since a uniform background makes
all inputs of a max-pooling window equal; and the limit of a comparison above which this is tried."""


def gradient_measurement(subject: Subject, array: str) -> Measurement:
    """See `cnnexplain.checks.gradient`."""
    objective = subject.objective
    if objective is None:
        return Measurement(None, detail="no target is explained")
    noise = subject.random.normal(size=(DIRECTIONS, *subject.image.shape[1:]))

    def measure(image: Float32[np.ndarray, "1 H W C"], gradient: Float[np.ndarray, "H W C"], what: str) -> Measurement:
        # In a direction that leans to the gradient the score changes more, beside the same bends.
        size = np.linalg.norm(_span(subject) * gradient)
        directions = _span(subject) * (noise + (LEAN * _span(subject) * gradient / size if size else 0))
        measured = slopes(scores(subject.classifier, objective), image[0], directions)
        return slope_measurement(_products(directions, gradient), measured, what)

    return _clearer(measure, subject, array, "directions")


def contribution_measurement(subject: Subject, array: str) -> Measurement:
    """See `cnnexplain.checks.contributions`."""
    objective = subject.objective
    if objective is None:
        return Measurement(None, detail="no target is explained")
    masks = rectangles(subject)

    def measure(image: Float32[np.ndarray, "1 H W C"], values: Float[np.ndarray, "H W C"], what: str) -> Measurement:
        way = (image - _baseline(subject, image))[0]
        measured = slopes(scores(subject.classifier, objective), image[0], masks * way)
        return slope_measurement(_products(masks, values.sum(axis=-1, keepdims=True)), measured, what)

    return _clearer(measure, subject, array, "rectangles")


def _clearer(
    measure: Callable[[Float32[np.ndarray, "1 H W C"], Float[np.ndarray, "H W C"], str], Measurement],
    subject: Subject,
    array: str,
    what: str,
) -> Measurement:
    """A measurement at the image, or, if its limit is not small, at the image with noise, if its limit is smaller there.

    Then the recorded array is compared with that of a second run at the image itself, and the detail states both
    measurements. One that fails by a wide margin at the image itself is final.
    """
    own = measure(subject.image, subject.array(array), what)
    if own.limit is not None and (own.limit <= CLEAR or (own.passed is False and own.excess > WIDE)):
        return own
    again = difference(subject.array(array), subject.explain().arrays[array][0])
    if not again <= ROUNDING:
        return Measurement(again, ROUNDING, "a second run gives another array")
    image = _moved(subject)
    moved = measure(image, subject.explain(image).arrays[array][0], f"{what}, at the image with noise to avoid its kinks")
    if moved.limit is None or (own.limit is not None and own.limit <= moved.limit):
        return own
    at_image = own.detail if own.limit is None else f"{own.value:.2g} of at most {own.limit:.2g}"
    return replace(moved, detail=f"{moved.detail}; at the image itself {at_image}")


def completeness_measurement(subject: Subject, array: str, limit: float | None) -> Measurement:
    """See `cnnexplain.checks.completeness`."""
    if subject.objective is None:
        return Measurement(None, detail="no target is explained")
    function = scores(subject.classifier, subject.objective)
    score, before = (float(function(np.asarray(each, np.float32))[0]) for each in _image_and_baseline(subject))
    total, expected = float(subject.array(array).sum(dtype=np.float64)), score - before
    error = abs(total - expected)
    # A difference of the scores near 0 can't be met to a few percent of itself.
    rounding = ROUNDING * max(abs(score), abs(before))
    value = error / abs(expected) if expected else (0.0 if error <= rounding else float("inf"))
    allowed = limit if limit is None or not expected else limit + rounding / abs(expected)
    return Measurement(value, allowed, f"sum {total:.4g}, scores differ by {expected:.4g}")


def map_measurement(subject: Subject, shown: str, array: str, reduction: Literal["maximum", "sum"]) -> Measurement:
    """See `cnnexplain.checks.channel_maxima` and `cnnexplain.checks.sums`."""
    values = subject.array(array).astype(np.float64)
    expected = values.sum(axis=-1) if reduction == "sum" else np.sqrt(np.max(values**2, axis=-1))
    return Measurement(difference(subject.array(shown), expected), ROUNDING, "all pixels")


def _image_and_baseline(subject: Subject) -> tuple[Float[np.ndarray, "1 H W C"], Float[np.ndarray, "1 H W C"]]:
    return subject.image, _baseline(subject, subject.image)


def _baseline(subject: Subject, image: Float32[np.ndarray, "1 H W C"]) -> Float[np.ndarray, "1 H W C"]:
    """The baseline of an image: the array of that name, or what the option of that name stands for, or zero."""
    if "baseline" in subject.record.arrays:
        return np.asarray(subject.array("baseline")[None])
    named = subject.options.get("baseline")
    return np.zeros_like(image) if named is None else baseline_images(named, image, subject.classifier.preprocess)


def _products(directions: Shaped[np.ndarray, "D H W C"], values: Float[np.ndarray, "H W C"]) -> Float[np.ndarray, " D"]:
    return np.asarray(np.tensordot(directions.astype(np.float64), values.astype(np.float64), axes=3))


def _span(subject: Subject) -> Float[np.ndarray, " C"]:
    """The range of the input."""
    preprocess = subject.classifier.preprocess
    return np.asarray(np.abs(preprocess.white.astype(np.float64) - preprocess.black))


def _moved(subject: Subject) -> Float32[np.ndarray, "1 H W C"]:
    """The image with noise toward gray, so that it stays in the input range."""
    noise = APART * subject.random.uniform(size=subject.image.shape)
    return np.asarray(subject.image + noise * (subject.classifier.preprocess.gray - subject.image), np.float32)


def rectangles(subject: Subject, count: int = RECTANGLES) -> Bool[np.ndarray, "count H W 1"]:
    """Masks of random rectangles, each with half of the height and of the width of the image."""
    height, width = subject.image.shape[1:3]
    masks = np.zeros((count, height, width, 1), bool)
    for mask in masks:
        top, left = (int(subject.random.integers(0, side - side // 2 + 1)) for side in (height, width))
        mask[top : top + max(1, height // 2), left : left + max(1, width // 2)] = True
    return masks
