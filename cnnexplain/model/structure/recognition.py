"""Recognizes elementwise activations by evaluating them, since users can write the same function in many ways.

`tf.nn.relu`, `jax.nn.relu`, a `ReLU()` layer and `lambda x: keras.ops.maximum(x, 0)` all compute the function "relu" of
Keras. A function is compared with the known ones for inputs near 0, near the bounds that activations have, far beyond these
and in several arrangements, to exclude functions that mix their inputs or only resemble a known one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnexplain.model.structure.function_trials import LARGE, evaluate

if TYPE_CHECKING:
    from jaxtyping import Float

_MAGNITUDES = (1e-4, 1e-3, 0.01, 0.1, 0.3, 2.6, 3.1, 5.9, 6.1, 20, 30, 100, 1000, 1e4, 6e4)
INPUTS = np.concatenate([np.linspace(-8, 8, 65), *([-each, each] for each in _MAGNITUDES)]).astype(np.float32)
"""The inputs on which elementwise functions are compared."""

ROWS, COLUMNS = 5, 19
"""Their arrangement as an array."""

CACHE_SIZE = 256
"""The number of functions whose results are kept."""


@dataclass(frozen=True)
class Elementwise:
    """An elementwise function.

    Args:
        name: Its name in Keras; its own name if Keras does not have it.
        ceiling: For a ReLU, the value above which it is constant; None if there is none.
    """

    name: str
    ceiling: float | None = None


_cache: dict[int, tuple[Any, Elementwise | None]] = {}


def elementwise(function: Any, known: dict[Any, str]) -> Elementwise | None:
    """The elementwise function that a function computes; None if it is not elementwise or cannot be evaluated.

    Args:
        function: A function, layer or other callable from a tensor to one of the same shape.
        known: Elementwise functions with their names.
    """
    try:
        if function in known:
            return _named(known[function])
    # A callable need not be hashable.
    except TypeError:
        pass
    if not callable(function):
        return None
    cached = _cache.get(id(function))
    if cached is None:
        if len(_cache) >= CACHE_SIZE:
            _cache.clear()
        # The function is kept as well, so that its id cannot be reused.
        cached = _cache[id(function)] = (function, _elementwise(function, known))
    return cached[1]


def _elementwise(function: Any, known: dict[Any, str]) -> Elementwise | None:
    order = np.random.default_rng(0).permutation(INPUTS.size)
    inputs = INPUTS[order].reshape(ROWS, COLUMNS)
    outcome = evaluate(function, inputs)
    if outcome is None or outcome[0].shape != inputs.shape:
        return None
    outputs, tolerance = outcome
    # The same inputs at other places and among others: a function that mixes them returns other values.
    arrangements = [inputs.T[::-1].copy(), inputs[:1], inputs[1:, 2:5], inputs[..., None, None]]
    rearranged = [outputs.T[::-1], outputs[:1], outputs[1:, 2:5], outputs[..., None, None]]
    for arrangement, expected in zip(arrangements, rearranged, strict=True):
        again = evaluate(function, arrangement)
        if again is None or again[0].shape != arrangement.shape or not _same(again[0], expected, tolerance):
            return None
    comparable = np.isfinite(outputs) | (np.abs(inputs) <= LARGE)

    def equals(expected: Float[np.ndarray, " ..."]) -> bool:
        return _same(outputs[comparable], np.asarray(expected, np.float64)[comparable], tolerance)

    if equals(inputs):
        return Elementwise("linear")
    for reference, name in known.items():
        values = evaluate(reference, inputs)
        if values is not None and equals(values[0]):
            return _named(name)
    ceiling = float(outputs[inputs == INPUTS.max()][0])
    if 0 < ceiling < INPUTS.max() and equals(np.clip(inputs, 0, ceiling)):
        near = ceiling * np.array([[0.5, 0.99, 0.999, 1.001, 1.01, 2]], np.float32)
        outcome = evaluate(function, near)
        if outcome is not None and _same(outcome[0], np.clip(near, 0, ceiling), tolerance):
            return Elementwise("relu", ceiling)
    if not np.isfinite(outputs[comparable]).all():
        return None
    return Elementwise(getattr(function, "__name__", type(function).__name__))


def _named(name: str) -> Elementwise:
    return Elementwise(name, 6.0 if name == "relu6" else None)


def _same(outputs: Float[np.ndarray, " ..."], expected: Float[np.ndarray, " ..."], tolerance: float) -> bool:
    return bool(np.allclose(outputs, expected, rtol=10 * tolerance, atol=tolerance, equal_nan=True))
