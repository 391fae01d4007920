"""The pictures' common language: sheets, images, signed and unsigned maps, captions. The only place that normalises."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter

from cnnexplain.errors import UsageError, suggest

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

    from cnnexplain.arrays import Array, Floats
    from cnnexplain.record import Record


@dataclass(frozen=True)
class Palette:
    """The colours of maps, as names of Matplotlib's colormaps.

    Args:
        unsigned: Of maps that start at 0. The default is perceptually uniform, and readable without telling red from green.
        signed: Of signed maps. By default blue below zero, red above, told apart by all eyes, and white at zero.

    Raises:
        UsageError: There is no such colormap.
    """

    unsigned: str = "inferno"
    signed: str = "RdBu_r"

    def __post_init__(self) -> None:
        for name in (self.unsigned, self.signed):
            if name not in mpl.colormaps:
                raise UsageError(f"Matplotlib has no colormap '{name}'.{suggest(name, mpl.colormaps)}")


DEFAULT = Palette()

_palette = ContextVar("palette", default=DEFAULT)


def palette() -> Palette:
    """The colours that are drawn with."""
    return _palette.get()


@contextmanager
def drawn_with(chosen: Palette) -> Iterator[None]:
    """Draws with these colours within the block."""
    token = _palette.set(chosen)
    try:
        yield
    finally:
        _palette.reset(token)


PANEL, SIDE = 2.9, 0.55
"""Inches of a panel's longer side, and the least that its shorter one is of it."""

LINE = 32
"""Maps are told apart by a line of a pixel, or of this part of their longer side."""

CAPTION = 5.0
"""Inches that a sheet has at least, so that its caption fits."""

NOTE_CHARACTERS, NOTE_LINE = 16, 0.15
"""How many characters of a note go in an inch, and the inches that a line of it takes."""

GAP, BAR, HEAD = 0.18, 0.72, 0.82
"""Inches between panels, for a colour bar with its numbers, and above the panels for their titles and the caption."""


def sheet(record: Record, width: float, height: float) -> Figure:
    """An empty figure with room for `width` × `height` inches of panels, the caption above and the analysis' note below."""
    wide = max(width, CAPTION) + 2 * GAP
    note = textwrap.wrap(record.analysis.note, int(NOTE_CHARACTERS * (wide - 2 * GAP)))
    foot = GAP + NOTE_LINE * len(note) + (GAP if note else 0)
    figure = Figure(figsize=(wide, HEAD + height + foot), facecolor="white")
    figure.text(
        GAP / wide,
        (foot - GAP) / (HEAD + height + foot),
        legible("\n".join(note), keep="\n"),
        fontsize=7.5,
        color="0.35",
        va="top",
        linespacing=1.3,
        parse_math=False,
    )
    return figure


def panel(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """A panel without ticks on a sheet, its place in inches from the left and from the top of the sheet's panels.

    Everything is placed by hand: Matplotlib's own layout would take longer than all the rest of the drawing.
    """
    wide, tall = figure.get_size_inches()
    place = ((GAP + left) / wide, (tall - HEAD - top - height) / tall, width / wide, height / tall)
    axes = figure.add_axes(place)
    axes.set_axis_off()
    # Ticks that aren't shown would still be made, to keep the title clear of them.
    axes.set_xticks([])
    axes.set_yticks([])
    return axes


def panel_size(record: Record, side: float = PANEL) -> tuple[float, float]:
    """Width and height in inches of a panel for an image of the record, `side` being the longer.

    A very long or flat image gets a larger panel than it fills, so that its titles have room.
    """
    height, width = record.preprocess.shape[:2]
    least, scale = side * SIDE, side / max(height, width)
    return max(width * scale, least), max(height * scale, least)


def row(count: int, record: Record, *, bars: Collection[int] = ()) -> tuple[Figure, list[Axes]]:
    """Lays out a row of panels, each of the shape of the record's images.

    Args:
        count: How many panels.
        record: Whose images give the shape.
        bars: Which panels, from 0, get room for a colour bar.
    """
    wide, tall = panel_size(record)
    lefts = [index * (wide + GAP) + BAR * sum(bar < index for bar in bars) for index in range(count)]
    figure = sheet(record, lefts[-1] + wide + BAR * (count - 1 in bars), tall)
    return figure, [panel(figure, left, 0, wide, tall) for left in lefts]


def caption(figure: Figure, record: Record, index: int) -> None:
    """Writes over the figure where the image came from, what the model predicts and which class is explained."""
    explained = record.explained[index]
    words = f"predicted {_label(record, explained.prediction)} ({percent(explained.probability)})"
    if explained.objective is not None:
        words += f" · target {shorten(explained.objective, 60)}"
    elif explained.target is not None and explained.target_probability is not None:
        words += f" · target {_label(record, explained.target)} ({percent(explained.target_probability)})"
    heading(figure, shorten(explained.source.name, 60, tail=True), words)


def heading(figure: Figure, first: str, second: str = "") -> None:
    """Writes two lines over the figure; text from outside is drawn as it is, never as a formula."""
    figure.suptitle(
        f"{legible(first)}\n{legible(second)}", y=1 - 0.1 / figure.get_size_inches()[1], fontsize=10.5, parse_math=False
    )


def title(panel: Axes, text: str) -> None:
    """Names a panel; text from outside is drawn as it is, never as a formula."""
    panel.set_title(legible(text), fontsize=9.5, parse_math=False)


def label(panel: Axes, text: str) -> None:
    """Names the row of panels that begins with this one, over its title."""
    panel.annotate(
        legible(text),
        (0, 1),
        xytext=(0, 18),
        xycoords="axes fraction",
        textcoords="offset points",
        fontsize=8.5,
        fontweight="bold",
        annotation_clip=False,
        parse_math=False,
    )


def image(panel: Axes, record: Record, index: int) -> None:
    """Shows the image as the model saw it, black and white being the ends of the model's input range."""
    picture(panel, record, record.images[index])


def picture(panel: Axes, record: Record, values: Floats) -> None:
    """Shows (H, W, C) in the model's input range, whose ends are black and white; what lies beyond is clipped."""
    panel.imshow(shown(record, values), vmin=0, vmax=1, cmap="gray", interpolation="antialiased")


def shown(record: Record, values: Floats) -> Floats:
    """Values in the model's input range as grey or RGB from 0 to 1; what lies beyond is clipped, NaN stays."""
    return np.clip(record.preprocess.decode(values), 0, 1)


def unsigned(panel: Axes, values: Array, unit: str, *, limit: float | None = None, bar: bool = True) -> None:
    """Shows a map (H, W) of values from 0 up, with a colour bar from 0 to its maximum, or to `limit`."""
    drawn = panel.imshow(values, vmin=0, vmax=limit or top(values), cmap=palette().unsigned, interpolation="nearest")
    if bar:
        _bar(panel, drawn, unit)


def signed(panel: Axes, values: Array, unit: str, *, limit: float | None = None, bar: bool = True) -> None:
    """Shows a map (H, W) of signed values, zero being white, with a colour bar to ± its largest magnitude, or ± `limit`."""
    limit = limit or top(np.abs(values))
    drawn = panel.imshow(values, vmin=-limit, vmax=limit, cmap=palette().signed, interpolation="nearest")
    if bar:
        _bar(panel, drawn, unit)


def signal(values: Array, limit: float) -> Floats:
    """Signed values (…, C) as RGB (…, 3) from 0 to 1: one channel from blue to red with white at zero, three from grey."""
    if values.shape[-1] == 1:
        return np.asarray(
            mpl.colormaps[palette().signed](np.clip(0.5 + values[..., 0] / (2 * limit), 0, 1))[..., :3], np.float32
        )
    return np.asarray(np.clip(0.5 + values / (2 * limit), 0, 1), np.float32)


def tiles(maps: Array, columns: int, gap: float = np.nan) -> Floats:
    """Maps (K, H, W) or (K, H, W, C) in rows of `columns`, from left to right, with a line of `gap` between them.

    Map k begins at row (k // columns) · (H + line) and column (k % columns) · (W + line), where the line is
    a pixel, or more for large maps.
    """
    count, height, width, *rest = maps.shape
    rows, line = -(-count // columns), max(1, max(height, width) // LINE)
    grid = np.full((rows, height + line, columns, width + line, *rest), gap, np.float32)
    for number, each in enumerate(maps):
        grid[number // columns, :height, number % columns, :width] = each
    return grid.reshape(rows * (height + line), columns * (width + line), *rest)[:-line, :-line]


def _bar(panel: Axes, drawn: AxesImage, unit: str) -> None:
    figure, place = panel.get_figure(root=True), panel.get_position(original=True)
    assert figure is not None
    inches = figure.get_figwidth()
    beside = figure.add_axes((place.x1 + 0.07 / inches, place.y0, 0.12 / inches, place.height))
    bar = figure.colorbar(drawn, cax=beside)
    bar.set_label(unit, fontsize=8)
    bar.ax.tick_params(labelsize=7.5)
    # Small values as 1.2 with 1e-4 above the bar: longer numbers would push the label into the next panel.
    if isinstance(bar.formatter, ScalarFormatter):
        bar.formatter.set_powerlimits((-2, 4))
        bar.update_ticks()
    bar.ax.yaxis.get_offset_text().set(size=7.5, ha="left")
    bar.outline.set_visible(False)


def overlay(panel: Axes, record: Record, index: int, values: Array) -> None:
    """Shows a map (H, W) of values from 0 up over the image in grey: the stronger, the less of the image is seen."""
    grey = np.broadcast_to(shown(record, record.images[index]).mean(axis=-1, keepdims=True), (*values.shape, 3))
    strength = np.clip(values / top(values), 0, 1)[..., None]
    colours = mpl.colormaps[palette().unsigned](strength[..., 0])[..., :3]
    # The root lifts the middle of the scale, which else drowns in the image.
    alpha = np.sqrt(strength)
    panel.imshow(grey * 0.85 * (1 - alpha) + colours * alpha, interpolation="nearest")


def top(values: Array) -> float:
    """The largest value that isn't NaN, or 1 for a map of zeros, so that a constant map draws as such."""
    return float(np.nanmax(values)) or 1.0


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


def legible(text: str, *, keep: str = "") -> str:
    """The text with a box for each character that the font can't draw or that isn't printable, but for those to keep."""
    font = font_manager.get_font(font_manager.findfont(font_manager.FontProperties()))
    known = (char in keep or (char.isprintable() and font.get_char_index(ord(char))) for char in text)
    return "".join(char if fine else "□" for char, fine in zip(text, known, strict=True))


def _label(record: Record, index: int) -> str:
    return legible(shorten(record.labels[index], 30))
