"""Slopes of a function by central differences, in double-precision steps, with a bound on the error of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from cnnexplain.checks.numbers import relative, root_mean_square
from cnnexplain.plugin.check import Measurement

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Float32, Float64

    from cnnexplain.model.classifier import Classifier
    from cnnexplain.model.computation.objectives import Objective

Function: TypeAlias = "Callable[[Float32[np.ndarray, 'n ...']], Float[np.ndarray, ' n']]"
"""Points, such as images, ↦ a value for each."""

STEPS = (1e-2, 1e-3, 1e-4, 3e-5, 1e-5, 3e-6)
"""The lengths of the steps, in units of the directions. The last one only confirms the one before."""

TOLERANCE, FINEST = 0.1, 0.02
"""A slope whose doubt exceeds this share of the typical slope is dropped; and the smallest limit of a comparison."""

REPEATS, ULP = 4, 2.0**-23
"""The number of copies of the point, changed in the last digit, whose values show the rounding error; and that digit."""


@dataclass(frozen=True)
class Slopes:
    """Slopes along D directions.

    Args:
        values: The slopes.
        doubts: By how much each may be wrong, because of a kink or rounding.
    """

    values: Float64[np.ndarray, " D"]
    doubts: Float64[np.ndarray, " D"]

    @property
    def kept(self) -> Bool[np.ndarray, " D"]:
        """The slopes that are certain enough to be compared: those whose doubt is small beside the typical slope."""
        return np.asarray(self.doubts <= TOLERANCE * root_mean_square(self.values))


def scores(classifier: Classifier, objective: Objective) -> Function:
    """The function from images to the values of an objective."""
    return lambda images: classifier.values(images, [objective] * len(images))


def slopes(function: Function, point: Float32[np.ndarray, " *shape"], directions: Float[np.ndarray, " D *shape"]) -> Slopes:
    """The derivatives of a function at a point along directions, by central differences.

    Of several steps, each direction takes the one with the smallest doubt. The doubt of a slope is twice the sum of the bend
    |f(x + d) − 2 f(x) + f(x − d)|, which is 0 for a function without a kink or curvature between the points, and the
    rounding error, divided by the distance of the points. A kink can change a central difference by no more than half of the
    bend. Since the bends of several kinks may cancel in one direction, the median of the directions is the smallest bend
    assumed, and the doubt is at least the difference from the slope of the next smaller step.

    Args:
        function: Points ↦ values. It may round to single precision.
        point: The point.
        directions: The directions. Steps of up to 1/100 of them are made, so they should be as large as the range of values.
    """
    centers, shape = point.astype(np.float64)[None], (-1, *(1,) * point.ndim)
    # The rounding error differs between points that differ in the last digit, the function itself hardly does.
    jitter = 1 + ULP * np.linspace(-1, 1, REPEATS).reshape(shape)
    base = np.asarray(function((centers * jitter).astype(np.float32)), np.float64)
    rounding = max(float(np.ptp(base)), ULP * float(np.abs(base).max()))
    moves = directions.astype(np.float64)
    lengths = np.sum(moves**2, axis=tuple(range(1, moves.ndim)))
    tried, bends, distances, changes = (np.zeros((len(STEPS), len(moves))) for _ in range(4))
    for number, step in enumerate(STEPS):
        forward, backward = ((centers + sign * step * moves).astype(np.float32) for sign in (1, -1))
        # The step that was made, after rounding to single precision.
        made = np.sum((forward.astype(np.float64) - backward) * moves, axis=tuple(range(1, moves.ndim)))
        distance = np.divide(made, lengths, out=np.zeros_like(made), where=lengths > 0)
        distances[number] = np.where(distance > 0, distance, 2 * step)
        ups, downs = np.split(np.asarray(function(np.concatenate([forward, backward])), np.float64), 2)
        tried[number], bends[number] = (ups - downs) / distances[number], np.abs(ups - 2 * base.mean() + downs)
        changes[number] = np.abs(ups - downs)
    # In half precision, values lie on a coarse grid, and small steps change nothing, which is no slope of 0.
    seen = (changes > 0).mean(axis=1) >= 0.5
    if seen[0] and not seen.all():
        rounding = max(rounding, float(changes[changes > 0].min()))
    doubts = 2 * (np.maximum(bends, np.median(bends, axis=1, keepdims=True)) + rounding) / distances
    doubts = np.maximum(doubts[:-1], np.abs(np.diff(tried, axis=0)))
    if seen[0]:
        doubts[~seen[:-1]] = np.inf
    best = doubts.argmin(axis=0), np.arange(len(moves))
    return Slopes(tried[best], doubts[best])


def slope_measurement(predicted: Float[np.ndarray, " D"], measured: Slopes, what: str) -> Measurement:
    """Compares predicted slopes with measured ones: the root mean square of the differences, relative to that of the slopes.

    The limit is what the doubts allow, at least 2%. A comparison of fewer than a quarter of the directions is not
    applicable.

    Args:
        predicted: The slopes that the result predicts.
        measured: The measured slopes.
        what: What the directions are, such as "directions".
    """
    kept = measured.kept
    dropped = f"{len(kept)} {what}, {int((~kept).sum())} dropped because of kinks or rounding"
    if kept.sum() < max(1, len(kept) / 4):
        return Measurement(None, detail=f"{dropped}: too few are left")
    size = root_mean_square(measured.values[kept])
    value = relative(predicted[kept] - measured.values[kept], size)
    return Measurement(value, max(FINEST, relative(measured.doubts[kept], size) if size else 0.0), dropped)
