"""RISE by brute force: few masks, drawn and enlarged with loops, and the formula of the paper for all pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from cnnexplain.checks import ROUNDING, confirmed
from cnnexplain.plugin import Measurement, Subject

if TYPE_CHECKING:
    from jaxtyping import Float64

MASKS = 48
"""The number of masks, in place of the thousands of a result."""


def measure(subject: Subject) -> Measurement:
    """The largest difference of a map from its formula over few masks, relative to the largest output.

    The map of the paper is Σ f(x ⊙ M_i) M_i / (E[M] n); the gain is the covariance of f(x ⊙ M) and M, divided by E[M].
    Beside outputs that hardly change, the gain is small, and their rounding is not.
    """
    record = subject.explain(masks=MASKS)
    classifier, image, options = subject.classifier, subject.image[0], record.options
    masks = _masks(image.shape[:2], record.facts["cells"][0], options["keep"], options["seed"])
    black = classifier.preprocess.black
    shown = (black + masks[..., None] * (image - black)).astype(np.float32)
    logits, target = classifier.logits(shown), record.explained[0].target
    by_logit = options["of"] == "logit" or classifier.head == "values"
    values = (logits if by_logit else classifier.probabilities(logits))[:, target].astype(np.float64)
    expected = {
        "saliency": np.tensordot(values, masks, 1) / (options["keep"] * MASKS),
        "gain": np.tensordot(values - values.mean(), masks - options["keep"], 1) / (options["keep"] * (MASKS - 1)),
    }
    # A probability rounds relative to itself, a logit relative to those that it is computed with.
    scale = float(np.abs(logits if by_logit else values).max())
    worst = max(float(np.abs(record.arrays[name][0] - array).max()) for name, array in expected.items())
    measured = Measurement(
        worst / scale if scale else worst, ROUNDING, f"{MASKS} masks, all pixels, relative to the largest output"
    )
    return confirmed(measured, subject, [*expected])


def _masks(size: Sequence[int], cells: Sequence[int], keep: float, seed: int) -> Float64[np.ndarray, "n H W"]:
    """The masks of section 3.2 of the paper: each cell is visible with a probability, enlarged and shifted."""
    (height, width), (rows, columns) = size, cells
    random = np.random.default_rng(seed)
    grids = random.random((MASKS, rows, columns)) < keep
    sides = -(-height // rows), -(-width // columns)
    shifts = random.integers(0, sides, (MASKS, 2))
    masks = []
    for grid, (down, across) in zip(grids.astype(np.float64), shifts, strict=True):
        tall = np.stack([_enlarged(line, (rows + 1) * sides[0]) for line in grid.T], axis=1)
        whole = np.stack([_enlarged(line, (columns + 1) * sides[1]) for line in tall])
        masks.append(whole[down : down + height, across : across + width])
    return np.stack(masks)


def _enlarged(line: Float64[np.ndarray, " n"], length: int) -> Float64[np.ndarray, " {length}"]:
    """A line of values, enlarged by linear interpolation between the centers of its cells."""
    places = (np.arange(length) + 0.5) * len(line) / length - 0.5
    return np.asarray(np.interp(places, np.arange(len(line)), line))
