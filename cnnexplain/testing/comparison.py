"""Compares the arrays, facts and pictures of two results."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnexplain.errors import PluginError
from cnnexplain.interruption import check_interrupted

if TYPE_CHECKING:
    from jaxtyping import UInt8
    from matplotlib.figure import Figure

    from cnnexplain.results.record import Record

LONGEST = 80
"""Number of characters of a fact that are shown in a difference."""


def figures(record: Record, count: int | None = None) -> dict[object, UInt8[np.ndarray, "_ _ 4"]]:
    """The pixels of the figures of a record, by the index of the image, or the name for those of its overview.

    Args:
        record: The record.
        count: Draw only this number of images.

    Raises:
        PluginError: A figure can't be drawn.
        RuntimeWarning: NumPy warned, for example of a division by zero.
        UserWarning: Matplotlib warned, for example of a missing glyph.
    """
    with warnings.catch_warnings():
        for kind in (RuntimeWarning, UserWarning):
            warnings.simplefilter("error", kind)
        drawn: dict[object, Figure] = {index: record.figure(index) for index in range(len(record))[:count]}
        drawn |= dict(record.overview().items())
        return {name: _pixels(figure) for name, figure in drawn.items()}


def _pixels(figure: Figure) -> UInt8[np.ndarray, "h w 4"]:
    """The rendered figure, (h, w, 4) uint8."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    try:
        canvas.draw()  # type: ignore[no-untyped-call]
    # Artists that a plugin adds to a figure may raise anything when they are rendered.
    except Exception as error:
        check_interrupted(error)
        raise PluginError(f"Its figure can't be rendered: {type(error).__name__}: {error}") from error
    return np.array(canvas.buffer_rgba())  # type: ignore[no-untyped-call]


def identical(values: object, expected: object) -> bool:
    """Whether values, which may be arrays, are equal without a tolerance. None is not equal to anything."""
    return values is not None and bool(np.array_equal(values, expected))  # type: ignore[arg-type]


def same_numbers(record: Record, other: Record) -> bool:
    """Whether two records have the same arrays and facts."""
    return not (array_difference(record.arrays, other.arrays, 0) or fact_difference(record.facts, other.facts, 0))


def same_pictures(record: Record, other: Record) -> bool:
    """Whether the figures of two records have the same pixels."""
    pixels, expected = figures(record), figures(other)
    return pixels.keys() == expected.keys() and all(identical(pixels[name], expected[name]) for name in pixels)


def first_image(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values for the first image, of arrays or facts with one entry for each image."""
    return {name: entries[0] for name, entries in values.items()}


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


def fact_difference(facts: Mapping[str, Any], expected: Mapping[str, Any], tolerance: float) -> str:
    """Describes the first difference between facts; empty if there is none.

    Args:
        facts: Facts by name.
        expected: The expected facts by name.
        tolerance: Tolerance for floats, relative to their magnitude, or to 1 if that is smaller.
    """
    if set(facts) != set(expected):
        return f"the facts are {', '.join(facts)} instead of {', '.join(expected)}"
    for name, fact in expected.items():
        if not _close(facts[name], fact, tolerance):
            return f"the fact '{name}' is {_shorten(facts[name])} instead of {_shorten(fact)}"
    return ""


def _close(value: Any, expected: Any, tolerance: float) -> bool:
    """Whether JSON values are equal, except for the rounding of floats."""
    if isinstance(expected, float) and isinstance(value, int | float):
        return abs(value - expected) <= tolerance * max(1.0, abs(expected))
    if isinstance(expected, Mapping) and isinstance(value, Mapping):
        return set(value) == set(expected) and all(_close(value[key], expected[key], tolerance) for key in expected)
    if isinstance(expected, list | tuple) and isinstance(value, list | tuple):
        return len(value) == len(expected) and all(map(_close, value, expected, [tolerance] * len(value)))
    return bool(value == expected)


def _shorten(value: object) -> str:
    text = str(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
