"""What an activation computes, told by trying it on numbers: users write one in many ways.

`tf.nn.relu`, `jax.nn.relu`, a `ReLU()` layer and `lambda x: keras.ops.maximum(x, 0)` are all the function that Keras calls
"relu". A function is compared with the known ones over numbers near 0, near the bounds that activations have, far beyond
them and in several arrangements, so that one that mixes its numbers or is only like a known one is told apart.
"""

from __future__ import annotations

import inspect
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from cnnexplain.interruption import check_interrupted
from cnnexplain.types import Floats

LARGE = 50.0
"""Beyond this a function that is written without care for overflow may return what isn't finite."""

PLACES = (1e-4, 1e-3, 0.01, 0.1, 0.3, 2.6, 3.1, 5.9, 6.1, 20, 30, 100, 1000, 1e4, 6e4)
NUMBERS = np.concatenate([np.linspace(-8, 8, 65), *([-place, place] for place in PLACES)]).astype(np.float32)
"""What activations that work number by number are tried on."""

ROWS, COLUMNS = 5, 19
"""How these are arranged."""

PRECISION = {"float16": 5e-3, "bfloat16": 3e-2}
"""By how much two numbers may differ that are the same but for rounding, where that is more than in single precision."""

FEW = 5
"""Of a map of scores, so many rows and columns are tried at most."""

MANY = 1 << 22
"""What takes more numbers for an image is not tried as a whole."""

KEPT = 256
"""Of how many functions what they compute is kept."""


@dataclass(frozen=True)
class Computed:
    """What a function computes, number by number.

    Args:
        name: What Keras calls it; of one that Keras doesn't have, its own name.
        ceiling: Of a ReLU, the value above which it is flat; None where there is none.
    """

    name: str
    ceiling: float | None = None


def tried(function: Callable[[Any], Any], numbers: Floats, dtype: str = "float32") -> tuple[Floats, float] | None:
    """What a function makes of numbers, in double precision, and how exact that is; None where it can't be tried.

    Args:
        function: Takes a tensor and gives one.
        numbers: An array of any shape.
        dtype: In which the function is given them.
    """
    if isinstance(function, keras.Layer):
        # A layer that isn't built would learn the shape of these numbers.
        if not function.built or function.weights:
            return None
        layer = function
        inference = {"training": False} if "training" in inspect.signature(layer.call).parameters else {}
        function = lambda x: layer(x, **inference)  # noqa: E731
    # A user's function may do anything with a tensor that it doesn't expect.
    try:
        with warnings.catch_warnings():
            # Of a softmax over one class, such as Keras warns of.
            warnings.simplefilter("ignore")
            output = function(keras.ops.convert_to_tensor(numbers, dtype=dtype))
        if not keras.ops.is_tensor(output):
            return None
        precision = max(PRECISION.get(kind, 1e-5) for kind in (dtype, keras.backend.standardize_dtype(output.dtype)))
        with np.errstate(all="ignore"):
            found = np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(output, "float32")), np.float64)
    except BaseException as error:  # noqa: BLE001
        check_interrupted(error)
        return None
    return found, precision


def head(function: Callable[[Any], Any], shape: tuple[int, ...], dtype: str = "float32") -> str:
    """Which of "softmax", "sigmoid", "log_softmax" and "linear" a function of scores is; "" for none of them.

    Args:
        function: Takes and gives a tensor (N, *shape).
        shape: (…, K), the K scores last; where all other sizes are 1 they may stand in any place.
        dtype: Of what it is given.
    """
    shape, scores = _for(shape)
    outcome = tried(function, scores.reshape(-1, *shape), dtype)
    if outcome is None or outcome[0].size != scores.size:
        return ""
    found, precision = outcome[0].reshape(scores.shape), outcome[1]
    given = _rounded(scores, dtype)
    moderate = np.abs(given).max(axis=1) <= LARGE
    for name, reference in REFERENCES.items():
        expected = reference(given)
        # One that overflows is the same where it doesn't.
        comparable = np.isfinite(found) | moderate[:, None]
        if np.allclose(found[comparable], expected[comparable], rtol=precision, atol=precision):
            return name
    return ""


@dataclass(frozen=True)
class Squashed:
    """What a function makes of scores that is probabilities, or a multiple of them.

    Args:
        name: "softmax" or "sigmoid"; of another one what it is called.
        high: The most that it returns, however large the scores.
        shares: Whether the numbers of all classes add up to that.
    """

    name: str
    high: float
    shares: bool


def squashed(function: Callable[[Any], Any], shape: tuple[int, ...], dtype: str = "float32") -> Squashed | None:
    """What a function makes of scores, if it brings any numbers between 0 and some number; None where it doesn't.

    ReLUs with a ceiling, which are 0 for 0, don't count.

    Args:
        function: Takes and gives a tensor (N, *shape).
        shape: As for `head`.
        dtype: Of what it is given.
    """
    if math.prod(shape) == 0:
        return None
    shape, scores = _for(shape)
    scores, found = np.concatenate([scores, -scores]), []
    for numbers in (scores, 3 * scores, 0 * scores):
        outcome = tried(function, numbers.reshape(-1, *shape), dtype)
        if outcome is None or outcome[0].size != scores.size:
            return None
        output, precision = outcome[0].reshape(scores.shape), max(outcome[1], 1e-3)
        # One that overflows may return anything there.
        careful = np.abs(_rounded(numbers, dtype)).max(axis=1) <= LARGE
        found.append(output[careful | np.isfinite(output).all(axis=1)])
    high = max(output.max() for output in found)
    bounds = [output.max() >= (1 - precision) * high for output in found[:2]]
    whole = np.concatenate(found)
    if not np.isfinite(whole).all() or whole.min() < 0 or not all(bounds) or np.ptp(whole) < 0.1 * high:
        return None
    if not (found[2] > 0).all():
        return None
    own = str(getattr(function, "__name__", ""))[:40]
    name = head(function, shape, dtype) or (own if own.isidentifier() else "activation")
    return Squashed(name, float(high), bool(np.allclose(whole.sum(axis=1), high, rtol=precision)))


def keeps(function: Callable[[Any], Any], shape: tuple[int, ...], dtype: str = "float32") -> bool:
    """Whether a function returns the probabilities that it is given, in their order, whatever it does to their shape.

    Args:
        function: Takes a tensor (N, *shape).
        shape: Of what it takes.
        dtype: Of what it is given.
    """
    small = tuple(min(size, FEW) for size in shape[:-1]) + shape[-1:]
    # A layer that gives the numbers another shape may take all of them alone.
    return any(_keeps(function, each, dtype) for each in dict.fromkeys([small, shape]))


def _keeps(function: Callable[[Any], Any], shape: tuple[int, ...], dtype: str) -> bool:
    if math.prod(shape) > MANY:
        return False
    count = max(2, math.ceil(32 / math.prod(shape)))
    random = np.random.default_rng(0)
    numbers = random.uniform(0, 1, (count, *shape)) ** random.choice([1, 4, 12], (count, *shape))
    numbers[random.uniform(0, 1, numbers.shape) < 0.1] = 0
    numbers[random.uniform(0, 1, numbers.shape) < 0.1] = 1
    given = _rounded(numbers, dtype)
    outcome = tried(function, numbers, dtype)
    if outcome is None or outcome[0].shape[:1] != (count,) or outcome[0].size != numbers.size:
        return False
    found, precision = outcome
    return bool(np.allclose(found.ravel(), given.ravel(), rtol=precision, atol=precision / 10))


def elementwise(function: Any, known: dict[Any, str]) -> Computed | None:
    """What a function computes that works number by number; None where it doesn't, or can't be tried.

    Args:
        function: Takes a tensor and gives one of its shape: a function, a layer, whatever can be called.
        known: Functions that work number by number, with their names.
    """
    try:
        if function in known:
            return Computed(known[function], 6.0 if known[function] == "relu6" else None)
    # What can be called need not have a hash.
    except TypeError:
        pass
    if not callable(function):
        return None
    kept = _kept.get(id(function))
    if kept is None:
        if len(_kept) >= KEPT:
            _kept.clear()
        # With the function, so that no other one gets its place in memory.
        kept = _kept[id(function)] = (function, _elementwise(function, known))
    return kept[1]


_kept: dict[int, tuple[Any, Computed | None]] = {}


def _elementwise(function: Any, known: dict[Any, str]) -> Computed | None:
    order = np.random.default_rng(0).permutation(NUMBERS.size)
    numbers = NUMBERS[order].reshape(ROWS, COLUMNS)
    outcome = tried(function, numbers)
    if outcome is None or outcome[0].shape != numbers.shape:
        return None
    found, precision = outcome
    # The same numbers in other places and in other company, where one that mixes them gives something else.
    others = [numbers.T[::-1].copy(), numbers[:1], numbers[1:, 2:5], numbers[..., None, None]]
    for other, expected in zip(others, [found.T[::-1], found[:1], found[1:, 2:5], found[..., None, None]], strict=True):
        again = tried(function, other)
        if again is None or again[0].shape != other.shape or not _same(again[0], expected, precision):
            return None
    careful = np.isfinite(found) | (np.abs(numbers) <= LARGE)

    def is_(expected: Floats) -> bool:
        return _same(found[careful], np.asarray(expected, np.float64)[careful], precision)

    if is_(numbers):
        return Computed("linear")
    for reference, name in known.items():
        values = tried(reference, numbers)
        if values is not None and is_(values[0]):
            return Computed(name, 6.0 if name == "relu6" else None)
    ceiling = float(found[numbers == NUMBERS.max()][0])
    if 0 < ceiling < NUMBERS.max() and is_(np.clip(numbers, 0, ceiling)):
        near = ceiling * np.array([[0.5, 0.99, 0.999, 1.001, 1.01, 2]], np.float32)
        outcome = tried(function, near)
        if outcome is not None and _same(outcome[0], np.clip(near, 0, ceiling), precision):
            return Computed("relu", ceiling)
    return Computed(getattr(function, "__name__", type(function).__name__)) if np.isfinite(found[careful]).all() else None


def _same(found: Floats, expected: Floats, precision: float) -> bool:
    return bool(np.allclose(found, expected, rtol=10 * precision, atol=precision, equal_nan=True))


def _for(shape: tuple[int, ...]) -> tuple[tuple[int, ...], Floats]:
    """Scores (rows, classes) for a function of (N, *shape), and a shape for N of them, of few places where it is a map."""
    shape = tuple(min(size, FEW) for size in shape[:-1]) + shape[-1:] if len(shape) == 3 else shape
    classes = max(shape, default=1) if max(shape, default=1) == math.prod(shape) else shape[-1]
    rows = math.prod(shape) // classes
    return shape, _scores(max(2, math.ceil(16 / rows)) * rows, classes)


def _scores(rows: int, classes: int) -> Floats:
    """Rows of scores, (rows, classes): of many scales, shifted, with one class far above the others, and extreme."""
    random = np.random.default_rng(0)
    scores = random.normal(size=(rows, classes)) * np.resize([0.3, 1, 3, 8], rows)[:, None]
    scores += np.resize([0, 0, 0, 0, 30, -30], rows)[:, None]
    if rows > 4:
        scores[rows // 2] = 0
        scores[rows // 2, random.integers(classes)] = 20
        scores[-1] = 1e4 * random.choice([-1, 1], classes)
    return np.asarray(scores, np.float64)


def _rounded(numbers: Floats, dtype: str) -> Floats:
    """The numbers as they are in that precision."""
    tensor = keras.ops.cast(keras.ops.convert_to_tensor(numbers, dtype=dtype), "float32")
    return np.asarray(keras.ops.convert_to_numpy(tensor), np.float64)


def _softmax(scores: Floats) -> Floats:
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def _sigmoid(scores: Floats) -> Floats:
    return np.asarray(0.5 * (1 + np.tanh(0.5 * scores)))


def _log_softmax(scores: Floats) -> Floats:
    beyond = scores - scores.max(axis=1, keepdims=True)
    return np.asarray(beyond - np.log(np.exp(beyond).sum(axis=1, keepdims=True)))


PROBABILISTIC = ("softmax", "sigmoid")
"""What makes probabilities of scores."""

REFERENCES: dict[str, Callable[[Floats], Floats]] = {
    "linear": lambda scores: scores,
    "softmax": _softmax,
    "sigmoid": _sigmoid,
    "log_softmax": _log_softmax,
}
"""What the output of a classifier may be of its scores, (rows, classes) ↦ (rows, classes)."""
