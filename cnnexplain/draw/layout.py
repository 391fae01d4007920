"""Figures and panels, placed in inches: the sheet with its note, single panels and rows of panels."""

from __future__ import annotations

import textwrap
from collections.abc import Collection
from typing import TYPE_CHECKING

from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from cnnexplain.draw.text import legible
from cnnexplain.draw.tickless import tickless_axes
from cnnexplain.inputs.bands import STRETCH

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from cnnexplain.results.record import Record

PANEL, SIDE = 2.9, 0.55
"""The longer side of a panel in inches, and the minimum ratio of the shorter to the longer side."""

MIN_WIDTH = 5.0
"""Minimum width of the panels' area of a sheet in inches, so that the caption fits."""

GAP = 0.18
"""Inches between panels."""

COLORBAR_WIDTH = 0.86
"""Inches for a color bar with its numbers and label."""

HEADER_HEIGHT = 0.82
"""Inches above the panels, for the caption and the panels' titles."""

HEADING_SIZE = 10.5
"""Font size of the caption, in points."""

TITLE_SIZE = 9.5
"""Font size of panel titles, in points."""

LABEL_SIZE = 8.5
"""Font size of row labels, in points."""

SMALL_SIZE = 7.5
"""Font size of small print such as the note, in points."""

GRAY = "0.35"
"""Color of text in the background, such as the note and numbers along an axis."""

NOTE_CHARACTERS, NOTE_LONGEST, NOTE_LINE = 16, 150, 0.15
"""Characters of a note per inch and at most per line, and the inches that a line takes."""


def sheet(record: Record, width: float, height: float) -> Figure:
    """An empty figure for panels, with space for the caption above and the limitations of the analysis below.

    Args:
        record: The record, whose limitations are written below the panels.
        width: Width of the panels' area in inches.
        height: Height of the panels' area in inches.
    """
    wide = max(width, MIN_WIDTH) + 2 * GAP
    bands = record.preprocess.false_color
    false_color = (
        f"Images in false color: {bands}, each stretched between its {STRETCH[0]}nd and {STRETCH[1]}th percentile. "
        if bands
        else ""
    )
    note = textwrap.wrap(
        false_color + record.analysis.limitations, min(int(NOTE_CHARACTERS * (wide - 2 * GAP)), NOTE_LONGEST)
    )
    foot = GAP + NOTE_LINE * len(note) + (GAP if note else 0)
    figure = Figure(figsize=(wide, HEADER_HEIGHT + height + foot), facecolor="white")
    figure.text(
        GAP / wide,
        (foot - GAP) / (HEADER_HEIGHT + height + foot),
        legible("\n".join(note), keep="\n"),
        fontsize=SMALL_SIZE,
        color=GRAY,
        va="top",
        linespacing=1.3,
        parse_math=False,
    )
    return figure


def panel(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """A panel without ticks on a sheet.

    Positions are explicit because Matplotlib's layout engines would take longer than the rest of the drawing.

    Args:
        figure: The sheet.
        left: Inches from the left edge of the panels' area.
        top: Inches from its upper edge.
        width: In inches.
        height: In inches.
    """
    wide, tall = figure.get_size_inches()
    place = ((GAP + left) / wide, (tall - HEADER_HEIGHT - top - height) / tall, width / wide, height / tall)
    with tickless_axes(figure, place) as axes:
        axes.set_axis_off()
        for axis in (axes.xaxis, axes.yaxis):
            # Matplotlib would also lay out invisible ticks, to position the title.
            axis.set_major_locator(NullLocator())
    return axes


def panel_size(record: Record, side: float = PANEL) -> tuple[float, float]:
    """Width and height in inches of a panel with the aspect ratio of the record's images.

    For a very long or flat image, the panel is larger than the image, so that there is space for a title.

    Args:
        record: The record.
        side: Inches of the longer side.
    """
    height, width = record.preprocess.shape[:2]
    min_side, scale = side * SIDE, side / max(height, width)
    return max(width * scale, min_side), max(height * scale, min_side)


def row(count: int, record: Record, *, bars: Collection[int] = ()) -> tuple[Figure, list[Axes]]:
    """A sheet with one row of panels, each with the aspect ratio of the record's images.

    Args:
        count: Number of panels.
        record: The record.
        bars: Indices of the panels that need space for a color bar.

    Returns:
        The figure and its panels.
    """
    wide, tall = panel_size(record)
    lefts = [index * (wide + GAP) + COLORBAR_WIDTH * sum(bar < index for bar in bars) for index in range(count)]
    figure = sheet(record, lefts[-1] + wide + COLORBAR_WIDTH * (count - 1 in bars), tall)
    return figure, [panel(figure, left, 0, wide, tall) for left in lefts]


def panel_inches(panel: Axes) -> tuple[float, float]:
    """Width and height of a panel in inches."""
    figure, place = panel.get_figure(root=True), panel.get_position(original=True)
    assert figure is not None
    return place.width * figure.get_figwidth(), place.height * figure.get_figheight()
