"""Occlusion by brute force: whole images with squares that are filled in NumPy, and the maps pixel by pixel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cnnexplain.checks import ROUNDING
from cnnexplain.numerics import baseline_function
from cnnexplain.plugin import Measurement, Subject

if TYPE_CHECKING:
    from jaxtyping import Float32, Int64

POSITIONS, PIXELS = 12, 12
"""The number of positions of the square, and of pixels of the map, that are recomputed."""


def scores(subject: Subject) -> Measurement:
    """The largest difference between a recorded score and that of a whole image with the square."""
    classifier, image, record = subject.classifier, subject.image[0], subject.record
    rows, columns, side = (subject.fact(name) for name in ("rows", "columns", "patch"))
    target = record.explained[subject.index].target
    worst, scale = 0.0, float(np.abs(classifier.logits(subject.image)).max())
    squares = [("logit", subject.options["fill"])]
    if "second_logit" in record.arrays:
        squares.append(("second_logit", subject.fact("second_fill")))
    for name, fill in squares:
        filling = baseline_function(fill, classifier.preprocess, side / 2, "--fill")(image)
        places = _places(subject, (len(rows), len(columns)), POSITIONS)
        occluded = np.stack([_hidden(image, filling, rows[row], columns[column], side) for row, column in places])
        expected = classifier.logits(occluded)[:, target].astype(np.float64)
        recorded = subject.array(name)[tuple(places.T)]
        worst = max(worst, float(np.abs(recorded - expected).max()))
    return Measurement(
        worst / scale if scale else worst,
        ROUNDING,
        f"{len(squares) * len(places)} positions, relative to the largest score",
    )


def means(subject: Subject) -> Measurement:
    """The largest difference between a pixel of a map and the mean drop of the squares that cover it."""
    rows, columns, side = (subject.fact(name) for name in ("rows", "columns", "patch"))
    # Not the recorded score: it may be wrong.
    logits = subject.classifier.logits(subject.image)[0]
    before = float(logits[subject.record.explained[subject.index].target])
    names = [name for name in ("logit", "second_logit") if name in subject.record.arrays]
    worst, count = 0.0, 0
    for name in names:
        drops, shown = before - subject.array(name).astype(np.float64), subject.array(f"{name}_drop")
        for row, column in _places(subject, shown.shape, PIXELS):
            covering = [
                drops[i, j]
                for i, top in enumerate(rows)
                for j, left in enumerate(columns)
                if top <= row < top + side and left <= column < left + side
            ]
            worst, count = max(worst, abs(float(shown[row, column]) - float(np.mean(covering)))), count + 1
    scale = float(np.abs(logits).max())
    return Measurement(worst / scale if scale else worst, ROUNDING, f"{count} pixels, relative to the largest score")


def _places(subject: Subject, shape: tuple[int, ...], count: int) -> Int64[np.ndarray, "n 2"]:
    """Random places in a grid."""
    return np.stack([subject.random.integers(0, side, count) for side in shape], axis=1)


def _hidden(
    image: Float32[np.ndarray, "H W C"], filling: Any, top: int, left: int, side: int
) -> Float32[np.ndarray, "H W C"]:
    hidden = image.copy()
    hidden[top : top + side, left : left + side] = filling[top : top + side, left : left + side]
    return hidden
