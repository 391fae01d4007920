"""The pictures' common language: images, unsigned maps, overlays, captions. The only place that normalises."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from cnnexplain.arrays import Array, Floats
    from cnnexplain.record import Record

UNSIGNED = "inferno"
"""Colours of maps that start at 0: perceptually uniform, and readable without telling red from green."""

PANEL, SIDE = 2.9, 1.6
"""Inches of a panel's longer side, and at least of its shorter one."""

GAP, BAR, HEAD = 0.18, 0.72, 0.82
"""Inches between panels, for a colour bar with its numbers, and above the panels for their titles and the caption."""


def row(count: int, record: Record, *, bars: Collection[int] = ()) -> tuple[Figure, list[Axes]]:
    """Lays out a row of panels, each of the shape of the record's images.

    Everything is placed by hand: Matplotlib's own layout would take longer than all the rest of the drawing.

    Args:
        count: How many panels.
        record: Whose images give the shape.
        bars: Which panels, from 0, get room for a colour bar.
    """
    height, width = record.images.shape[1:3]
    scale = PANEL / max(height, width)
    # A very long or flat image gets a larger panel than it fills, so that its titles have room.
    tall, wide = max(height * scale, SIDE), max(width * scale, SIDE)
    lefts = [GAP + panel * (wide + GAP) + BAR * sum(bar < panel for bar in bars) for panel in range(count)]
    size = (lefts[-1] + wide + GAP + BAR * (count - 1 in bars), tall + HEAD + GAP)
    figure = Figure(figsize=size, facecolor="white")
    axes = [figure.add_axes((left / size[0], GAP / size[1], wide / size[0], tall / size[1])) for left in lefts]
    for panel in axes:
        panel.set_axis_off()
        # Ticks that aren't shown would still be made, to keep the title clear of them.
        panel.set_xticks([])
        panel.set_yticks([])
    return figure, axes


def caption(figure: Figure, record: Record, index: int) -> None:
    """Writes over the figure where the image came from, what the model predicts and which class is explained."""
    explained = record.explained[index]
    words = f"predicted {_label(record, explained.prediction)} ({percent(explained.probability)})"
    if explained.target is not None and explained.target_probability is not None:
        words += f" · target {_label(record, explained.target)} ({percent(explained.target_probability)})"
    figure.suptitle(
        f"{legible(shorten(explained.source.name, 60, tail=True))}\n{words}",
        y=1 - 0.1 / figure.get_size_inches()[1],
        fontsize=10.5,
        parse_math=False,
    )


def title(panel: Axes, text: str) -> None:
    """Names a panel; text from outside is drawn as it is, never as a formula."""
    panel.set_title(legible(text), fontsize=9.5, parse_math=False)


def image(panel: Axes, record: Record, index: int) -> None:
    """Shows the image as the model saw it, black and white being the ends of the model's input range."""
    panel.imshow(_picture(record, index), vmin=0, vmax=1, cmap="gray", interpolation="nearest")


def unsigned(panel: Axes, values: Array, unit: str) -> None:
    """Shows a map (H, W) of values from 0 up, with a colour bar from 0 to its maximum."""
    shown = panel.imshow(values, vmin=0, vmax=top(values), cmap=UNSIGNED, interpolation="nearest")
    figure, place = panel.get_figure(root=True), panel.get_position(original=True)
    assert figure is not None
    inches = figure.get_figwidth()
    beside = figure.add_axes((place.x1 + 0.07 / inches, place.y0, 0.12 / inches, place.height))
    bar = figure.colorbar(shown, cax=beside)
    bar.set_label(unit, fontsize=8)
    bar.ax.tick_params(labelsize=7.5)
    # Small values as 1.2 with 1e-4 above the bar: longer numbers would push the label into the next panel.
    if isinstance(bar.formatter, ScalarFormatter):
        bar.formatter.set_powerlimits((-1, 2))
        bar.update_ticks()
    bar.ax.yaxis.get_offset_text().set(size=7.5, ha="left")
    bar.outline.set_visible(False)


def overlay(panel: Axes, record: Record, index: int, values: Array) -> None:
    """Shows a map (H, W) of values from 0 up over the image in grey: the stronger, the less of the image is seen."""
    grey = np.broadcast_to(_picture(record, index).mean(axis=-1, keepdims=True), (*values.shape, 3))
    strength = np.clip(values / top(values), 0, 1)[..., None]
    colours = mpl.colormaps[UNSIGNED](strength[..., 0])[..., :3]
    # The root lifts the middle of the scale, which else drowns in the image.
    alpha = np.sqrt(strength)
    panel.imshow(grey * 0.85 * (1 - alpha) + colours * alpha, interpolation="nearest")


def top(values: Array) -> float:
    """The largest value, or 1 for a map of zeros, so that a constant map draws as such."""
    return float(values.max()) or 1.0


def percent(probability: float) -> str:
    """A probability for people: "99.3 %"; one that rounds to a whole says on which side it lies."""
    if 0.9995 <= probability < 1:
        return "> 99.9 %"
    if 0 < probability < 0.0005:
        return "< 0.1 %"
    return f"{100 * probability:.1f} %"


def shorten(text: str, length: int, *, tail: bool = False) -> str:
    """The text, or as much of its start (or of its end) as `length` characters hold."""
    if len(text) <= length:
        return text
    return "…" + text[1 - length :] if tail else text[: length - 1] + "…"


def legible(text: str) -> str:
    """The text with a box for each character that the font can't draw or that isn't printable."""
    font = font_manager.get_font(font_manager.findfont(font_manager.FontProperties()))
    return "".join(char if char.isprintable() and font.get_char_index(ord(char)) else "□" for char in text)


def _picture(record: Record, index: int) -> Floats:
    return np.clip(record.preprocess.unscale(record.images[index]), 0, 1)


def _label(record: Record, index: int) -> str:
    return legible(shorten(record.labels[index], 30))
