"""The pictures' common language: sheets, images, signed and unsigned maps, captions. The only place that normalises."""

from __future__ import annotations

import re
import textwrap
from bisect import bisect_right
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from pathlib import PurePath
from typing import TYPE_CHECKING, Literal

import matplotlib as mpl
import numpy as np
from matplotlib import font_manager
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ft2font import FT2Font, LoadFlags
from matplotlib.ticker import ScalarFormatter

from cnnexplain.draw import wording
from cnnexplain.errors import UsageError, suggest
from cnnexplain.errors import shown as shown_value
from cnnexplain.inputs.bands import STRETCH, stretched
from cnnexplain.matplotlib_settings import drawing
from cnnexplain.numerics.baselines import gaussian
from cnnexplain.numerics.interpolation import bicubic

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from cnnexplain.results.record import Record
    from cnnexplain.types import Array, Floats


@dataclass(frozen=True)
class Palette:
    """The colours of maps, as names of Matplotlib's colormaps.

    Args:
        unsigned: Of maps that start at 0. The default is perceptually uniform, readable without telling red from green, and
            seen both on photographs and on black.
        signed: Of signed maps. By default blue below zero, red above, told apart by all eyes, and white at zero.

    Raises:
        UsageError: There is no such colormap.
    """

    unsigned: str = "viridis"
    signed: str = "RdBu_r"

    def __post_init__(self) -> None:
        for name in (self.unsigned, self.signed):
            if name not in mpl.colormaps:
                raise UsageError(f"Matplotlib has no colormap '{name}'.{suggest(name, mpl.colormaps)}")


DEFAULT = Palette()


@dataclass(frozen=True)
class Style:
    """How maps are drawn.

    Args:
        colours: Their colours.
        contours: Whether a line surrounds the strongest tenth of the pixels of a map that lies over an image.
        regions: The side in pixels of the squares over which attributions are summed up; None for what suits the image.

    Raises:
        UsageError: The squares have no pixel.
    """

    colours: Palette = DEFAULT
    contours: bool = False
    regions: int | None = None

    def __post_init__(self) -> None:
        if self.regions is not None and self.regions < 1:
            raise UsageError(f"Regions are at least 1 pixel wide, but got {shown_value(self.regions)}.")


PLAIN = Style()

_style = ContextVar("style", default=PLAIN)


def style() -> Style:
    """How maps are drawn now."""
    return _style.get()


def palette() -> Palette:
    """The colours that are drawn with."""
    return style().colours


@contextmanager
def drawn_with(chosen: Style | Palette) -> Iterator[None]:
    """Draws in this style, or with these colours, within the block."""
    token = _style.set(Style(chosen) if isinstance(chosen, Palette) else chosen)
    try:
        yield
    finally:
        _style.reset(token)


PANEL, SIDE = 2.9, 0.55
"""Inches of a panel's longer side, and the least that its shorter one is of it."""

LINE = 32
"""Maps are told apart by a line of a pixel, or of this part of their longer side."""

CAPTION = 5.0
"""Inches that a sheet has at least, so that its caption fits."""

HEADING, TITLE, LABEL, SMALL = 10.5, 9.5, 8.5, 7.5
"""Points of the caption, of a panel's title, of the words over or beside several panels, and of what is said in small."""

HINTING = 1.04
"""How many times their width letters take at most, when they are brought to whole pixels."""

QUIET = "0.35"
"""The grey of words that stand behind the others: the note, numbers along an axis."""

NOTE_CHARACTERS, NOTE_LONGEST, NOTE_LINE = 16, 150, 0.15
"""How many characters of a note go in an inch and in a line at most, and the inches that a line of it takes."""

OPAQUE, PALE, DARK = 0.9, 0.3, 0.2
"""The opacity of the strongest values over an image, and the shares of signed colours that are left out there."""

STRONGEST = 0.1
"""The share of a map's pixels that a contour surrounds."""

PERCENTILE = 99.5
"""How many of a hundred values lie within the scale of a map of which a few would else take all the colours."""

FINE = 48
"""Signals of fewer pixels are enlarged pixel by pixel, others are smoothed where they must be made smaller."""

BLUR = 75
"""The standard deviation that smooths a map is this part of its longer side."""

REGIONS = 14
"""Over an image of `FINE` pixels or more, attributions are summed over squares: this many along its longer side."""

GAP, BAR, HEAD = 0.18, 0.86, 0.82
"""Inches between panels, for a colour bar with its numbers, and above the panels for their titles and the caption."""


def sheet(record: Record, width: float, height: float) -> Figure:
    """An empty figure with room for `width` × `height` inches of panels, the caption above and the analysis' note below."""
    wide = max(width, CAPTION) + 2 * GAP
    bands = record.preprocess.false_colour
    words = (
        f"Images in false colour: {bands}, each stretched between its {STRETCH[0]}nd and {STRETCH[1]}th percentile. "
        if bands
        else ""
    )
    note = textwrap.wrap(words + record.analysis.note, min(int(NOTE_CHARACTERS * (wide - 2 * GAP)), NOTE_LONGEST))
    foot = GAP + NOTE_LINE * len(note) + (GAP if note else 0)
    figure = Figure(figsize=(wide, HEAD + height + foot), facecolor="white")
    figure.text(
        GAP / wide,
        (foot - GAP) / (HEAD + height + foot),
        legible("\n".join(note), keep="\n"),
        fontsize=SMALL,
        color=QUIET,
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
    for length in (30, 24, 18, 12, 8):
        called = name(record, explained.prediction, length)
        answer = wording.amount(explained.probability, explained.value, explained.unit)
        words = f"predicted {called} ({answer})" if explained.value is None else f"{called} {answer}"
        if explained.objective is not None:
            words += f" · target {shorten(named(record, explained.objective), 2 * length)}"
        elif explained.value is not None and explained.target is not None and explained.target != explained.prediction:
            words += f" · target {name(record, explained.target, length)}"
        elif explained.target is not None and explained.target_probability is not None:
            words += f" · target {name(record, explained.target, length)} ({percent(explained.target_probability)})"
        if text_width(words, HEADING) <= figure.get_figwidth() - 2 * GAP:
            break
    bands = record.preprocess.false_colour
    heading(figure, source(explained.source.name) + (f" · {bands}" if bands else ""), words)


def heading(figure: Figure, first: str, second: str = "") -> None:
    """Writes two lines over the figure; text from outside is drawn as it is, never as a formula."""
    room = figure.get_figwidth() - 2 * GAP
    figure.suptitle(
        f"{fit(first, room, HEADING, tail=True)}\n{fit(second, room, HEADING)}",
        y=1 - 0.1 / figure.get_figheight(),
        fontsize=HEADING,
        parse_math=False,
    )


def title(
    panel: Axes,
    text: str,
    *,
    side: Literal["left", "center"] = "center",
    room: float | None = None,
    pad: float = 6,
    tail: bool = False,
) -> None:
    """Names a panel, in as many letters as fit; text from outside is drawn as it is, never as a formula.

    Args:
        panel: Which.
        text: Its name.
        side: Where over the panel it stands.
        room: The inches that it may take: those of the panel and half the gap on both sides, unless it is said.
        pad: Points between it and the panel.
        tail: Whether the end of the text is kept where it is too long, and not its start.
    """
    if room is None:
        room = _inches(panel)[0] + GAP
    # Where the height is given Matplotlib need not look for what else is over the panel.
    panel.set_title(fit(text, room, TITLE, tail=tail), fontsize=TITLE, loc=side, y=1, pad=pad, parse_math=False)


def label(panel: Axes, text: str) -> None:
    """Names the row of panels that begins with this one, over its title."""
    panel.annotate(
        legible(text),
        (0, 1),
        xytext=(0, 18),
        xycoords="axes fraction",
        textcoords="offset points",
        fontsize=LABEL,
        fontweight="bold",
        annotation_clip=False,
        parse_math=False,
    )


def below(panel: Axes, text: str) -> None:
    """Writes what is to be said of a panel in small under it, in lines as they are given."""
    room = _inches(panel)[0] + GAP
    panel.annotate(
        "\n".join(fit(line, room, SMALL) for line in text.split("\n")),
        (0.5, 0),
        xytext=(0, -3),
        xycoords="axes fraction",
        textcoords="offset points",
        ha="center",
        va="top",
        fontsize=SMALL,
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
    """Values in the model's input range as grey or RGB from 0 to 1; what lies beyond is clipped, NaN stays.

    Of bands those that `Preprocess.show_bands` names, as `cnnexplain.inputs.bands.stretched` gives them.
    """
    preprocess = record.preprocess
    if preprocess.bands is not None:
        return stretched(*map(preprocess.picked, (values, preprocess.black, preprocess.white)))
    return np.clip(record.preprocess.decode(values), 0, 1)


def unsigned(
    panel: Axes, values: Array, unit: str, *, limit: float | None = None, start: float = 0.0, bar: bool = True
) -> None:
    """Shows a map (H, W) of values from `start` up, with a colour bar from there to its maximum, or to `limit`."""
    limit = limit or top(values)
    drawn = panel.imshow(values, vmin=start, vmax=limit, cmap=palette().unsigned, interpolation="nearest")
    if bar:
        _bar(panel, drawn, unit, values, limit)


def signed(panel: Axes, values: Array, unit: str, *, limit: float | None = None, bar: bool = True) -> None:
    """Shows a map (H, W) of signed values, zero being white, with a colour bar to ± its largest magnitude, or ± `limit`."""
    limit = limit or top(np.abs(values))
    drawn = panel.imshow(values, vmin=-limit, vmax=limit, cmap=palette().signed, interpolation="nearest")
    if bar:
        _bar(panel, drawn, unit, values, limit)


def ceiling(values: Array) -> float:
    """A limit for maps with extreme pixels: that of the magnitudes which `PERCENTILE` of a hundred do not exceed.

    Drawn to their maximum such maps are dark but for a few pixels. The colour bar tells how many lie beyond. Where nearly
    all values are 0 it is the largest magnitude.
    """
    magnitudes = np.abs(values)
    return float(np.nanpercentile(magnitudes, PERCENTILE)) or top(magnitudes)


def smoothed(values: Array) -> Floats:
    """The map (H, W) through a Gaussian blur, for the eye; as it is where that would be narrower than half a pixel.

    Its standard deviation is the longer side divided by `BLUR`; at the border the weights that fall outside are left out.
    """
    width = max(values.shape) / BLUR
    if width < 0.5:
        return values
    rows, columns = (gaussian(side, width) for side in values.shape)
    return np.asarray(rows @ values @ columns.T, np.float32)


def enlarged(values: Array, height: int, width: int) -> Floats:
    """A coarse map (h, w) as (height, width), bicubic, for the eye: a linear slope would show ridges and crosses.

    Pixel centres are at half numbers; what would overshoot is clipped to the range of the map.
    """
    rows, columns = (bicubic(*sides) for sides in zip(values.shape, (height, width), strict=True))
    return np.asarray(np.clip(rows @ values @ columns.T, values.min(), values.max()), np.float32)


def summed(values: Array, side: int) -> Floats:
    """A map (H, W), each pixel showing the sum over its square of that side, or over what is left of it at the end."""
    height, width = values.shape
    across = np.add.reduceat(np.add.reduceat(values, range(0, height, side), 0), range(0, width, side), 1)
    return np.asarray(across.repeat(side, 0).repeat(side, 1)[:height, :width], np.float32)


def readable(values: Array) -> Floats:
    """A gradient's map (H, W) for the eye: smoothed, or summed over the regions that `Style` asks for.

    Neighbouring pixels differ so much in a photograph that only their mean is readable over it.
    """
    return smoothed(values) if style().regions is None else summed(values, style().regions or 1)


def regions(values: Array) -> int:
    """The side of the squares over which attributions (H, W) are summed: `Style.regions`, or what suits their image."""
    side = max(values.shape)
    return style().regions or (side // REGIONS if side >= FINE else 1)


def signals(panel: Axes, record: Record, values: Array, unit: str, *, bar: bool = True) -> None:
    """Shows signed values (H, W, C) in the order of the model's channels on a scale of ±1, as `signal` does."""
    values = channels(record, values)
    colours = palette().signed if values.shape[-1] == 1 else "gray"
    panel.imshow(signal(values, 1), interpolation="nearest" if max(values.shape) < FINE else "antialiased")
    if bar:
        _bar(panel, ScalarMappable(Normalize(-1, 1), colours), unit, values, 1)


def channels(record: Record, values: Array) -> Floats:
    """Values (…, C) in the order of the model's channels as red, green, blue, as grey, or as the bands that are shown."""
    return record.preprocess.picked(record.preprocess.swap(values))


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


def _bar(panel: Axes, drawn: ScalarMappable, unit: str, values: Array, limit: float) -> None:
    """The colour bar beside a panel; where values lie beyond the limit its ends are pointed and tell how many."""
    figure, place = panel.get_figure(root=True), panel.get_position(original=True)
    assert figure is not None
    inches = figure.get_figwidth()
    beside = figure.add_axes((place.x1 + 0.07 / inches, place.y0, 0.12 / inches, place.height))
    beyond = float((np.abs(values) > limit).sum() / np.isfinite(values).sum())
    ends = "both" if drawn.norm.vmin == -limit else "max"
    bar = figure.colorbar(drawn, cax=beside, extend=ends if beyond else "neither")
    bar.set_label(f"{unit}\n{percent(beyond)} clipped" if beyond else unit, fontsize=8)
    bar.ax.tick_params(labelsize=SMALL)
    # Small values as 1.2 with 1e-4 above the bar: longer numbers would push the label into the next panel.
    if isinstance(bar.formatter, ScalarFormatter):
        bar.formatter.set_powerlimits((-2, 4))
        bar.update_ticks()
    bar.ax.yaxis.get_offset_text().set(size=SMALL, ha="left")
    # Clear of the number at the bar's end.
    bar.ax.yaxis.OFFSETTEXTPAD = 6
    bar.outline.set_visible(False)


def overlay_colours(*, signed: bool = False) -> Floats:
    """The colours of maps over an image and their opacity: 256 rows of red, green, blue and opacity, from 0 to 1.

    With the limit L, a value v belongs to row ⌊256 · (v / L + 1) / 2⌋ of a signed map, to row ⌊256 · v / L⌋ of another, and
    to the first or the last where it lies beyond. With t the magnitude of v / L in the middle of the row, its opacity is
    `OPAQUE` · t² (3 − 2 t): near zero the image keeps its colours. Signed colours are pale in the middle, which would be a
    haze over the image, and dark at the ends, which would be lost over black: both are left out (`PALE`, `DARK`).
    """
    share = (np.arange(256) + 0.5) / 256
    strength = np.abs(2 * share - 1) if signed else share
    sides = 0.5 + np.sign(share - 0.5) / 2 * (PALE + (1 - DARK - PALE) * strength)
    name, places = (palette().signed, sides) if signed else (palette().unsigned, share)
    colours = np.asarray(mpl.colormaps[name](places), np.float32)
    colours[:, 3] = OPAQUE * strength**2 * (3 - 2 * strength)
    return colours


def overlaid(record: Record, index: int, values: Array, *, limit: float | None = None, signed: bool = False) -> Floats:
    """A map over the image, as RGB (H, W, 3) from 0 to 1: image · (1 − a) + colour · a, a being the colour's opacity.

    Args:
        record: Whose image.
        index: Which.
        values: (H, W), from 0 up, or signed.
        limit: The magnitude with the strongest colour; None for the largest.
        signed: Whether the map has two sides.
    """
    strength = values / (limit or top(np.abs(values)))
    share = (strength + 1) / 2 if signed else strength
    colours = overlay_colours(signed=signed)[np.clip(256 * share, 0, 255).astype(int)]
    opacity = colours[..., 3:]
    return np.asarray(shown(record, record.images[index]) * (1 - opacity) + colours[..., :3] * opacity, np.float32)


def overlay(
    panel: Axes,
    record: Record,
    index: int,
    values: Array,
    *,
    limit: float | None = None,
    signed: bool = False,
    unit: str | None = None,
) -> None:
    """Shows a map over the image in its colours; the stronger the map, the less of the image is seen.

    Args:
        panel: Where.
        record: Whose image.
        index: Which.
        values: (H, W), from 0 up, or signed.
        limit: The magnitude with the strongest colour; None for the largest.
        signed: Whether the map has two sides.
        unit: Of the values, for a colour bar; None for none.
    """
    limit = limit or top(np.abs(values))
    pixels = overlaid(record, index, values, limit=limit, signed=signed)
    panel.imshow(pixels, interpolation="nearest" if max(values.shape) < FINE else "antialiased")
    if unit is not None:
        colours = palette().signed if signed else palette().unsigned
        _bar(panel, ScalarMappable(Normalize(-limit if signed else 0, limit), colours), unit, values, limit)
    if style().contours:
        contour(panel, values)


def contour(panel: Axes, values: Array) -> None:
    """Draws a line around the strongest tenth of a map's pixels, white within black, so that it is seen on anything."""
    magnitudes = np.abs(values)
    least = float(np.quantile(magnitudes, 1 - STRONGEST))
    # There is no line around a tenth of a map of one value, and Matplotlib finds none in a single row.
    if min(values.shape) > 1 and magnitudes.min() < least < magnitudes.max():
        panel.contour(magnitudes, [least], colors="black", linewidths=2.2)
        panel.contour(magnitudes, [least], colors="white", linewidths=1.0)


def smoothed_overlay(panel: Axes, record: Record, index: int, values: Array, what: str) -> None:
    """Shows a map (H, W) of values from 0 up over the image, as `readable` makes it, with a title that says so."""
    shown = readable(values)
    overlay(panel, record, index, shown, limit=ceiling(shown))
    if side := style().regions:
        title(panel, f"sums over {side}×{side} pixels")
    else:
        title(panel, f"{what} over input" if shown is values else f"smoothed {what} over input")


def regions_overlay(panel: Axes, record: Record, index: int, values: Array, what: str, unit: str) -> None:
    """Shows signed attributions (H, W) over the image, summed over squares, with a colour bar and a title that says so.

    Sums of attributions are attributions of regions, and neighbouring pixels of a photograph often differ in sign.
    """
    side = regions(values)
    sums = summed(values, side)
    overlay(panel, record, index, sums, limit=ceiling(sums), signed=True, unit=unit)
    title(panel, f"{what} over input" if side == 1 else f"sums over {side}×{side} pixels")


def top(values: Array) -> float:
    """The largest value that isn't NaN, or 1 for a map of zeros, so that a constant map draws as such."""
    return float(np.nanmax(values)) or 1.0


def percent(probability: float) -> str:
    """A probability for people: "99.3%"; one that rounds to a whole says on which side it lies."""
    return wording.percent(probability)


def name(record: Record, index: int, length: int = 30) -> str:
    """What a class is called in pictures: its label up to the first comma, where that is no other's; `length` characters.

    ImageNet's labels list several names, "tabby, tabby cat". Two of its classes are a crane.
    """
    label = record.labels[index]
    first = label.partition(",")[0].strip()
    alone = sum(other.partition(",")[0].strip() == first for other in record.labels) == 1
    return legible(shorten(first if first and alone else label, length))


def named(record: Record, objective: str) -> str:
    """An objective such as "tabby, tabby cat − lynx, catamount" with its classes called as `name` calls them."""
    places = {label: place for place, label in enumerate(record.labels)}
    parts = re.split(r"(^−| [−+] |[\d.e+-]+ · )", objective)
    return legible("".join(name(record, places[part]) if part in places else part for part in parts))


def source(given: str) -> str:
    """What an image is called in pictures: its file without the folder, or a sample as "mnist:test/42"."""
    return given if re.match(r"\w+:\w+/", given) else PurePath(given).name


def text_width(text: str, points: float) -> float:
    """The inches that a line of text takes in the font of the pictures at that size, at most, whatever the dots per inch."""
    font = _font()
    font.set_size(points, 72)
    font.set_text(text, flags=LoadFlags.NO_HINTING)
    return HINTING * float(font.get_width_height()[0]) / 64 / 72


def fit(text: str, inches: float, points: float, *, tail: bool = False) -> str:
    """The legible text, or as much of its start (or of its end) as fits in that many inches at that size."""
    text = legible(text)
    if text_width(text, points) <= inches:
        return text
    lengths = range(1, len(text))
    fitting = bisect_right(lengths, inches, key=lambda length: text_width(shorten(text, length, tail=tail), points))
    return shorten(text, max(fitting, 1), tail=tail)


def shorten(text: str, length: int, *, tail: bool = False) -> str:
    """The text, or as much of its start (or of its end) as `length` characters hold."""
    if len(text) <= length:
        return text
    return "…" + text[1 - length :] if tail else text[: length - 1] + "…"


def legible(text: str, *, keep: str = "") -> str:
    """The text with a box for each character that the font can't draw or that isn't printable, but for those to keep."""
    font = _font()
    known = (char in keep or (char.isprintable() and font.get_char_index(ord(char))) for char in text)
    return "".join(char if fine else "□" for char, fine in zip(text, known, strict=True))


def _font() -> FT2Font:
    return font_manager.get_font(_font_file())


@cache
def _font_file() -> str:
    with drawing():
        return font_manager.findfont(font_manager.FontProperties())


def _inches(panel: Axes) -> tuple[float, float]:
    """A panel's width and height."""
    figure, place = panel.get_figure(root=True), panel.get_position(original=True)
    assert figure is not None
    return place.width * figure.get_figwidth(), place.height * figure.get_figheight()
