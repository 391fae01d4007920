"""Two results compared with each other: arrays, facts and pictures."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnexplain.errors import PluginError
from cnnexplain.interruption import check_interrupted

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from cnnexplain.results.record import Record
    from cnnexplain.types import Array


def figures(record: Record, images: int | None = None) -> dict[object, Array]:
    """The pixels of the figures of its first images, or of all, and of the overview, by the image's number or the name."""
    with warnings.catch_warnings():
        # Of maps that are divided by zero, and of letters that no font has.
        for kind in (RuntimeWarning, UserWarning):
            warnings.simplefilter("error", kind)
        drawn: dict[object, Figure] = {index: record.figure(index) for index in range(len(record))[:images]}
        drawn |= dict(record.overview().items())
        return {name: _pixels(figure) for name, figure in drawn.items()}


def _pixels(figure: Figure) -> Array:
    """(h, w, 4) uint8."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    try:
        canvas.draw()  # type: ignore[no-untyped-call]
    # What a plugin has put into a figure may fail in any way when it is rendered.
    except Exception as error:
        check_interrupted(error)
        raise PluginError(f"Its figure can't be rendered: {type(error).__name__}: {error}") from error
    return np.array(canvas.buffer_rgba())  # type: ignore[no-untyped-call]


def identical(found: object, expected: object) -> bool:
    """Whether arrays, or what becomes one, are the same to the bit; never where nothing was found."""
    return found is not None and bool(np.array_equal(found, expected))  # type: ignore[arg-type]


def same(one: Record, other: Record) -> bool:
    """Whether two records have the same arrays and facts."""
    return not (apart(one.arrays, other.arrays, 0) or apart_facts(one.facts, other.facts, 0))


def same_pictures(one: Record, other: Record) -> bool:
    """Whether two records are drawn as the same pixels."""
    found, expected = figures(one), figures(other)
    return found.keys() == expected.keys() and all(identical(found[name], expected[name]) for name in found)


def first(found: Mapping[str, Any]) -> dict[str, Any]:
    """Of arrays or facts, each with an entry for each image, what is of the first image."""
    return {name: values[0] for name, values in found.items()}


def apart(found: Mapping[str, Array], expected: Mapping[str, Array], tolerance: float, odd: float = 0.0) -> str:
    """Where arrays differ, in words; empty where they don't.

    Args:
        found: Arrays by name.
        expected: Arrays by name.
        tolerance: By how much of the largest expected magnitude values may differ; others than fractions must be equal.
        odd: The share of an array's values that may differ by more.
    """
    if set(found) != set(expected):
        return f"arrays {', '.join(found)} and {', '.join(expected)}"
    for name, array in expected.items():
        other = np.asarray(found[name])
        if other.shape != np.shape(array):
            return f"'{name}' has the shape {other.shape} and {np.shape(array)}"
        exact = np.asarray(array).dtype.kind in "biu"
        distance = np.abs(np.subtract(other, array, dtype=np.result_type(other, array, np.float64)))
        largest = max(float(np.abs(array).max(initial=0)), 1e-6)
        if (distance > (0 if exact else tolerance * largest)).mean() > odd if distance.size else False:
            return f"'{name}' differs by up to {distance.max():.2g}, its largest magnitude being {largest:.2g}"
    return ""


def apart_facts(found: Mapping[str, Any], expected: Mapping[str, Any], tolerance: float) -> str:
    """Where facts differ, in words; empty where they don't. Fractions may by `tolerance` of their size, or of 1."""
    if set(found) != set(expected):
        return f"facts {', '.join(found)} and {', '.join(expected)}"
    for name, fact in expected.items():
        if not _near(found[name], fact, tolerance):
            return f"the fact '{name}' is {_short(found[name])} and {_short(fact)}"
    return ""


def _near(found: Any, expected: Any, tolerance: float) -> bool:
    """Whether JSON-able values are the same, but for rounding of fractions."""
    if isinstance(expected, float) and isinstance(found, int | float):
        return abs(found - expected) <= tolerance * max(1.0, abs(expected))
    if isinstance(expected, Mapping) and isinstance(found, Mapping):
        return set(found) == set(expected) and all(_near(found[key], expected[key], tolerance) for key in expected)
    if isinstance(expected, list | tuple) and isinstance(found, list | tuple):
        return len(found) == len(expected) and all(map(_near, found, expected, [tolerance] * len(found)))
    return bool(found == expected)


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 80 else f"{text[:80]}…"
