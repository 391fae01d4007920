"""Compares the arrays, facts and pictures of two results."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnexplain.errors import PluginError
from cnnexplain.interruption import check_interrupted
from cnnexplain.verification.comparison import array_difference, fact_difference

if TYPE_CHECKING:
    from jaxtyping import UInt8
    from matplotlib.figure import Figure

    from cnnexplain.results.record import Record


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
