"""Recognizes what the last functions of a classifier compute from its scores, by evaluating them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import keras
import numpy as np

from cnnexplain.model.structure.function_trials import LARGE, MOST_VALUES, evaluate

if TYPE_CHECKING:
    from jaxtyping import Float, Float64

    Rows: TypeAlias = Float64[np.ndarray, "rows classes"]

MOST_PIXELS = 5
"""The most rows and columns of a map of scores on which a function is evaluated."""


def head_name(function: Callable[[Any], Any], shape: tuple[int, ...], dtype: str = "float32") -> str:
    """Whether a function of scores is "softmax", "sigmoid", "log_softmax" or "linear"; "" if it is none of them.

    Args:
        function: From a tensor (N, *shape) to another of as many values.
        shape: (…, K), with the K scores last; if all other sizes are 1, they may be at any place.
        dtype: The type of its input.
    """
    shape, scores = _trial_scores(shape)
    outcome = evaluate(function, scores.reshape(-1, *shape), dtype)
    if outcome is None or outcome[0].size != scores.size:
        return ""
    outputs, tolerance = outcome[0].reshape(scores.shape), outcome[1]
    given = _rounded(scores, dtype)
    moderate = np.abs(given).max(axis=1) <= LARGE
    for name, reference in REFERENCES.items():
        expected = reference(given)
        # A function that overflows counts as equal if it is equal wherever it does not.
        comparable = np.isfinite(outputs) | moderate[:, None]
        if np.allclose(outputs[comparable], expected[comparable], rtol=tolerance, atol=tolerance):
            return name
    return ""


@dataclass(frozen=True)
class Squashing:
    """A function that maps scores to probabilities, or to a multiple of probabilities.

    Args:
        name: "softmax" or "sigmoid"; the function's own name if it is another.
        high: The upper bound of its outputs.
        sums_to_high: Whether the outputs for all classes sum to that bound.
    """

    name: str
    high: float
    sums_to_high: bool


def squashing(function: Callable[[Any], Any], shape: tuple[int, ...], dtype: str = "float32") -> Squashing | None:
    """How a function maps any scores to values between 0 and an upper bound; None if it does not.

    ReLUs with a ceiling, which are 0 for 0, do not count.

    Args:
        function: From a tensor (N, *shape) to another of as many values.
        shape: As for `head_name`.
        dtype: The type of its input.
    """
    if math.prod(shape) == 0:
        return None
    shape, scores = _trial_scores(shape)
    scores, outputs = np.concatenate([scores, -scores]), []
    for trial in (scores, 3 * scores, 0 * scores):
        outcome = evaluate(function, trial.reshape(-1, *shape), dtype)
        if outcome is None or outcome[0].size != scores.size:
            return None
        output, tolerance = outcome[0].reshape(scores.shape), max(outcome[1], 1e-3)
        # For large scores a function may overflow and return anything.
        moderate = np.abs(_rounded(trial, dtype)).max(axis=1) <= LARGE
        outputs.append(output[moderate | np.isfinite(output).all(axis=1)])
    high = max(output.max() for output in outputs)
    bounded = [output.max() >= (1 - tolerance) * high for output in outputs[:2]]
    whole = np.concatenate(outputs)
    if not np.isfinite(whole).all() or whole.min() < 0 or not all(bounded) or np.ptp(whole) < 0.1 * high:
        return None
    if not (outputs[2] > 0).all():
        return None
    own = str(getattr(function, "__name__", ""))[:40]
    name = head_name(function, shape, dtype) or (own if own.isidentifier() else "activation")
    return Squashing(name, float(high), bool(np.allclose(whole.sum(axis=1), high, rtol=tolerance)))


def keeps_probabilities(function: Callable[[Any], Any], shape: tuple[int, ...], dtype: str = "float32") -> bool:
    """Whether a function returns the probabilities that it is given, in the same order, possibly in another shape.

    Args:
        function: Of a tensor (N, *shape).
        shape: The shape of its input for one image.
        dtype: The type of its input.
    """
    small = tuple(min(size, MOST_PIXELS) for size in shape[:-1]) + shape[-1:]
    # A layer that reshapes may accept only the whole shape.
    return any(_keeps(function, each, dtype) for each in dict.fromkeys([small, shape]))


def _keeps(function: Callable[[Any], Any], shape: tuple[int, ...], dtype: str) -> bool:
    if math.prod(shape) > MOST_VALUES:
        return False
    count = max(2, math.ceil(32 / math.prod(shape)))
    random = np.random.default_rng(0)
    probabilities = random.uniform(0, 1, (count, *shape)) ** random.choice([1, 4, 12], (count, *shape))
    probabilities[random.uniform(0, 1, probabilities.shape) < 0.1] = 0
    probabilities[random.uniform(0, 1, probabilities.shape) < 0.1] = 1
    given = _rounded(probabilities, dtype)
    outcome = evaluate(function, probabilities, dtype)
    if outcome is None or outcome[0].shape[:1] != (count,) or outcome[0].size != probabilities.size:
        return False
    outputs, tolerance = outcome
    return bool(np.allclose(outputs.ravel(), given.ravel(), rtol=tolerance, atol=tolerance / 10))


def _trial_scores(shape: tuple[int, ...]) -> tuple[tuple[int, ...], Rows]:
    """Scores (rows, classes) for a function of (N, *shape), and the shape for N of them, with few pixels if it is a map."""
    shape = tuple(min(size, MOST_PIXELS) for size in shape[:-1]) + shape[-1:] if len(shape) == 3 else shape
    classes = max(shape, default=1) if max(shape, default=1) == math.prod(shape) else shape[-1]
    rows = math.prod(shape) // classes
    return shape, _scores(max(2, math.ceil(16 / rows)) * rows, classes)


def _scores(rows: int, classes: int) -> Rows:
    """Scores at many scales: shifted rows, one with a class far above the others, and one with extreme values."""
    random = np.random.default_rng(0)
    scores = random.normal(size=(rows, classes)) * np.resize([0.3, 1, 3, 8], rows)[:, None]
    scores += np.resize([0, 0, 0, 0, 30, -30], rows)[:, None]
    if rows > 4:
        scores[rows // 2] = 0
        scores[rows // 2, random.integers(classes)] = 20
        scores[-1] = 1e4 * random.choice([-1, 1], classes)
    return np.asarray(scores, np.float64)


def _rounded(values: Float[np.ndarray, "*shape"], dtype: str) -> Float64[np.ndarray, "*shape"]:
    """The values rounded to the precision of a type."""
    tensor = keras.ops.cast(keras.ops.convert_to_tensor(values, dtype=dtype), "float32")
    return np.asarray(keras.ops.convert_to_numpy(tensor), np.float64)


def _softmax(scores: Rows) -> Rows:
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def _sigmoid(scores: Rows) -> Rows:
    return np.asarray(0.5 * (1 + np.tanh(0.5 * scores)))


def _log_softmax(scores: Rows) -> Rows:
    shifted = scores - scores.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))


PROBABILISTIC = ("softmax", "sigmoid")
"""The functions that map scores to probabilities."""

REFERENCES: dict[str, Callable[[Rows], Rows]] = {
    "linear": lambda scores: scores,
    "softmax": _softmax,
    "sigmoid": _sigmoid,
    "log_softmax": _log_softmax,
}
"""The functions of scores, (rows, classes) ↦ (rows, classes), that the output of a classifier may be."""
