"""Strips with a bar for each unit of a dense layer, or for each class."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib.ticker import MaxNLocator

from cnnexplain import draw as drawing
from cnnexplain.draw import formatting, wording
from cnnexplain_plugins.intermediate_outputs.strip import CROSS, TICK_SIZE, WIDTH, Strip

if TYPE_CHECKING:
    from jaxtyping import Float
    from matplotlib.axes import Axes

    from cnnexplain import Record

HEIGHT, PITCH = 0.9, 0.5
"""Inches: the height of bars, and the maximum distance from bar to bar."""

UNSURE = 0.1
"""Probabilities that are all smaller than this are drawn on a scale of their own instead of from 0 to 1."""

TICKS = 32
"""Maximum number of labels below a row of bars."""

STRONGEST, LINE, NAMES = 8, 0.17, 3.0
"""The number of classes named if there is no room for all, and in inches the distance between them and room for names."""


def class_bars(record: Record, title: str, values: Float[np.ndarray, " K"], dead: list[int], unit: str) -> Strip:
    """A bar with a name for each class; only the strongest classes if there is no room for all names."""
    names = [drawing.class_name(record, index) for index in range(len(record.labels))]
    # A single sigmoid output is the second of its two classes. The outputs of a regression model come first in the labels.
    names = names[: len(values)] if wording.has_values(record) else names[-len(values) :]
    unit = wording.in_units(record, "logit") if unit == "value" else unit
    if len(values) * PITCH <= WIDTH and all(drawing.text_width(each, TICK_SIZE) < PITCH for each in names):
        return unit_bars(title, values, dead, unit, names)
    return _ranking(title, values, unit, names)


def unit_bars(title: str, values: Float[np.ndarray, " K"], dead: list[int], unit: str, names: list[str]) -> Strip:
    """A bar for each value; if there are too many, only some are labeled with their names."""
    count = len(values)
    width = min(WIDTH, max(PITCH * count, 1.0))

    def paint(panel: Axes) -> None:
        # A bar is always thick enough to be visible.
        thickness = max(0.8 * 72 * width / count, 0.7)
        places = np.arange(count)
        panel.vlines(places, 0, values, colors=_colors(values), linewidths=thickness)
        panel.vlines(
            dead, -0.09, -0.03, colors=CROSS, linewidths=thickness, transform=panel.get_xaxis_transform(), clip_on=False
        )
        panel.axhline(0, color=drawing.GRAY, linewidth=0.6)
        panel.set_ylim(*_range(values, unit))
        panel.set_xlim(-0.6, count - 0.4)
        panel.set_axis_on()
        panel.spines[["top", "right", "bottom"]].set_visible(False)
        panel.spines["left"].set_color(drawing.GRAY)
        panel.set_ylabel(unit, fontsize=8)
        panel.yaxis.set_major_locator(MaxNLocator(2, steps=[1, 2, 5, 10]))
        panel.yaxis.set_major_formatter(lambda value, _: formatting.number(value))
        panel.xaxis.set_major_locator(MaxNLocator(TICKS, integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))
        panel.xaxis.set_major_formatter(lambda place, _: names[int(place)] if 0 <= place < count else "")
        panel.tick_params(axis="x", length=0, pad=8, labelsize=TICK_SIZE)
        panel.tick_params(axis="y", length=2, labelsize=TICK_SIZE)

    return Strip(title, width, HEIGHT, paint)


def _ranking(title: str, values: Float[np.ndarray, " K"], unit: str, names: list[str]) -> Strip:
    """A horizontal bar for each of the classes with the largest values, with its name and value."""
    order = np.argsort(-values, kind="stable")[:STRONGEST]

    def paint(panel: Axes) -> None:
        places = np.arange(len(order))
        panel.hlines(places, 0, values[order], colors=_colors(values[order]), linewidths=0.75 * 72 * LINE)
        panel.axvline(0, color=drawing.GRAY, linewidth=0.6)
        panel.set_xlim(*_range(values[order], unit))
        panel.set_ylim(len(order) - 0.5, -0.5)
        panel.set_axis_on()
        panel.set_yticks([])
        panel.spines[["top", "right", "left"]].set_visible(False)
        panel.spines["bottom"].set_color(drawing.GRAY)
        panel.set_xlabel(unit, fontsize=8)
        panel.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
        panel.xaxis.set_major_formatter(lambda value, _: formatting.number(value))
        panel.tick_params(axis="x", length=2, labelsize=TICK_SIZE)
        for place, index in zip(places, order, strict=True):
            value = (
                formatting.probability(float(values[index])) if unit == "probability" else formatting.number(values[index])
            )
            panel.annotate(
                drawing.fit_text(f"{value}  {names[index]}", NAMES, 8),
                (1, place),
                xytext=(6, 0),
                xycoords=panel.get_yaxis_transform(),
                textcoords="offset points",
                va="center",
                fontsize=8,
                annotation_clip=False,
                parse_math=False,
            )

    suffix = f" · the {len(order)} strongest" if len(order) < len(values) else ""
    return Strip(title + suffix, WIDTH / 3, LINE * len(order), paint, right=NAMES + drawing.GAP)


def _colors(values: Float[np.ndarray, " K"]) -> list[tuple[float, float, float, float]]:
    below, above = (mpl.colormaps[drawing.current_palette().signed](end) for end in (0.1, 0.9))
    return [below if value < 0 else above for value in values]


def _range(values: Float[np.ndarray, " K"], unit: str) -> tuple[float, float]:
    """Limits of an axis that includes all values and 0, with a margin; for probabilities 0 to 1, unless all are small."""
    if unit == "probability" and values.max() > UNSURE:
        return 0.0, 1.0
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
    margin = 0.04 * (high - low)
    return (low - margin if low else 0.0, high + margin if high else 0.0) if margin else (0.0, 1.0)
