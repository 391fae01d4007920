"""Describes the first difference between the arrays or facts of two results."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

LONGEST = 80
"""Number of characters of a fact that are shown in a difference."""


def array_difference(
    arrays: Mapping[str, Any], expected: Mapping[str, Any], tolerance: float, *, outliers: float = 0.0
) -> str:
    """Describes the first difference between arrays; empty if there is none.

    Args:
        arrays: Arrays, or NumPy scalars, by name.
        expected: The expected arrays by name.
        tolerance: Tolerance relative to the largest magnitude of the expected array. Integers must be equal.
        outliers: The share of values of an array that may differ by more.
    """
    if set(arrays) != set(expected):
        return f"the arrays are {', '.join(arrays)} instead of {', '.join(expected)}"
    for name, expected_values in expected.items():
        values = np.asarray(arrays[name])
        if values.shape != np.shape(expected_values):
            return f"'{name}' has the shape {values.shape} instead of {np.shape(expected_values)}"
        exact = np.asarray(expected_values).dtype.kind in "biu"
        distance = np.abs(np.subtract(values, expected_values, dtype=np.result_type(values, expected_values, np.float64)))
        largest = max(float(np.abs(expected_values).max(initial=0)), 1e-6)
        if (distance > (0 if exact else tolerance * largest)).mean() > outliers if distance.size else False:
            return f"'{name}' differs by up to {distance.max():.2g}, with a largest magnitude of {largest:.2g}"
    return ""


def fact_difference(facts: Mapping[str, Any], expected: Mapping[str, Any], tolerance: float, *, least: float = 1.0) -> str:
    """Describes the first difference between facts; empty if there is none.

    Args:
        facts: Facts by name.
        expected: The expected facts by name.
        tolerance: Tolerance for floats, relative to their magnitude. Integers and truth values must be equal.
        least: The magnitude below which the tolerance is relative to this number.
    """
    if set(facts) != set(expected):
        return f"the facts are {', '.join(facts)} instead of {', '.join(expected)}"
    for name, fact in expected.items():
        if not _close(facts[name], fact, tolerance, least):
            return f"the fact '{name}' is {_shorten(facts[name])} instead of {_shorten(fact)}"
    return ""


def _close(value: Any, expected: Any, tolerance: float, least: float) -> bool:
    """Whether JSON values are equal, except for the rounding of floats."""
    # Python takes True for 1.
    if isinstance(expected, bool) != isinstance(value, bool):
        return False
    if isinstance(expected, float) and isinstance(value, int | float):
        return abs(value - expected) <= tolerance * max(least, abs(expected))
    if isinstance(expected, Mapping) and isinstance(value, Mapping):
        return set(value) == set(expected) and all(_close(value[key], expected[key], tolerance, least) for key in expected)
    if isinstance(expected, list | tuple) and isinstance(value, list | tuple):
        return len(value) == len(expected) and all(
            _close(*pair, tolerance, least) for pair in zip(value, expected, strict=True)
        )
    return bool(value == expected)


def _shorten(value: object) -> str:
    text = str(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
