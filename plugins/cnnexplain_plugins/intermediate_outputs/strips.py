"""The picture of a network's outputs: strips for each layer, grids of feature maps or a row of bars."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.ticker import MaxNLocator

from cnnexplain import draw as drawing
from cnnexplain.draw import formatting, wording
from cnnexplain_plugins.intermediate_outputs import ALL
from cnnexplain_plugins.intermediate_outputs.layers import maps_of, on_grid

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from cnnexplain import Array, Floats, Record

WIDTH, LEFT, BETWEEN = 9.6, 0.62, 0.6
"""Inches of the widest strip, left of it for the numbers of channels and scales, and between strips for their titles."""

SHARED, TALLEST, LEAST, COLUMN = 18.0, 8.0, 0.8, 30.0
"""Inches that the strips share in height, that one gets of it at most and at least, and after which a new column begins."""

OTHERS, EVERY = 0.7, 24.0
"""Inches in height at most for the maps that aren't shown large, and for all the maps of the only layer asked for."""

SMALL, LARGE, DOTS, THIN = 0.6, 0.96, 130, 0.25
"""Inches of a small and of a large map's longer side where there is room, map pixels that go in an inch at most, and the
least that a map's shorter side is of its longer one."""

NAMED, WORDS = 0.17, 0.5
"""Inches under a map for its number and contribution, and the width that a map has at least for them."""

INPUT, BARS, PITCH = 1.5, 0.9, 0.5
"""Inches of the input's longer side, of the height of bars, and from bar to bar at most."""

UNSURE = 0.1
"""Probabilities of which none is larger are drawn on a scale of their own."""

TICKS, NAME, SPACING = 32, 50, 0.13
"""Numbers under a row of bars at most, characters of a layer's name at most, inches between the numbers of a grid's rows."""

TICK = 7.0
"""Points of the numbers and names along a panel's side."""

STRONGEST, LINE, NAMES = 8, 0.17, 3.0
"""How many classes are named where not all can be, the inches from one to the next, and those beside the bars for names."""

NEAR, FAR = 6.0, 15.0
"""Points from a title to its panel: near, or clear of a color bar's exponent."""

FRAME, DEAD, CROSS, CROSSED = "0.6", "0.9", "0.4", 0.15
"""The grays of a map's frame, of a dead map, and of the cross over it, which neither scale of colors has, and the inches
that a map's shorter side has at least for a cross."""


@dataclass(frozen=True)
class Strip:
    """What is drawn of one layer: its size in inches, without what stands around it, and how to paint it.

    `beside` are the inches at its right for a color bar or names, and `pad` the points between it and its title.
    """

    title: str
    width: float
    height: float
    paint: Callable[[Axes], None]
    beside: float = drawing.COLORBAR_WIDTH
    pad: float = NEAR

    @property
    def across(self) -> float:
        """The inches that the title needs, or the panel with what is beside it."""
        return max(drawing.text_width(self.title, drawing.TITLE_SIZE), self.width + self.beside)


def draw(record: Record, index: int) -> Figure:
    """The input and the strips of each layer of image `index`; those that are too many for one column stand in several."""
    layers = record.facts["layers"][index]
    tallest = min(max(SHARED / len(layers), LEAST), TALLEST)
    strips = [_input(record, index), *(strip for facts in layers for strip in _layer(record, index, facts, tallest))]
    if not record.options["layer"] and layers[-1]["unit"] == "logit" and "probabilities" in record.arrays:
        values = record.arrays["probabilities"][index]
        strips.append(_classes(record, "probabilities", values, [], "probability"))
    *tops, total = np.cumsum([0, *(strip.height + BETWEEN for strip in strips)])
    columns = math.ceil(total / COLUMN)
    column = [int(columns * top / total) for top in tops]
    starts = [tops[column.index(number)] for number in range(columns)]
    places = [(number, top - starts[number]) for number, top in zip(column, tops, strict=True)]
    wide = LEFT + max(strip.across for strip in strips)
    deep = max(top + strip.height for (_, top), strip in zip(places, strips, strict=True))
    figure = drawing.sheet(record, columns * wide, deep + BETWEEN / 2)
    for (number, top), strip in zip(places, strips, strict=True):
        panel = drawing.panel(figure, number * wide + LEFT, top, strip.width, strip.height)
        strip.paint(panel)
        # To the left, since a grid is often narrower than its title.
        drawing.title(panel, strip.title, side="left", room=strip.across, pad=strip.pad)
    drawing.caption(figure, record, index)
    return figure


def _input(record: Record, index: int) -> Strip:
    image = record.images[index]
    title = f"input · {_shape(image.shape)} · {formatting.number(image.min())} to {formatting.number(image.max())}"
    width, height = drawing.panel_size(record, INPUT)
    return Strip(title, width, height, lambda panel: drawing.input_image(panel, record, index))


def _layer(record: Record, index: int, facts: Mapping[str, Any], tallest: float) -> list[Strip]:
    """The strip of a layer, and one of the maps that are not shown large in it."""
    output = record.arrays[f"output/{facts['name']}"][index]
    channels = facts["shape"][-1] if facts["shape"] else 1
    name = drawing.shorten(facts["name"], NAME, tail=True)
    title = (
        f"{name} ({facts['kind']}) · {_shape(facts['shape'])}{on_grid(facts)} · "
        f"{formatting.number(facts['min'])} to {formatting.number(facts['max'])} · {facts['dead']} of {channels} dead"
    )
    if facts["contribution"] is not None and facts["unit"] == "activation":
        score = formatting.number(record.facts["value"][index])
        title += f" · contributes {formatting.signed_number(facts['contribution'], 3)} of {score}"
    if output.ndim == 1 and facts["unit"] == "activation":
        return [_bars(title, output, facts["dead_channels"], facts["unit"], list(map(str, range(output.size))))]
    if output.ndim < 2:
        return [_classes(record, title, output.reshape(-1), facts["dead_channels"], facts["unit"])]
    maps = maps_of(output, facts.get("grid"))
    grid = partial(_grid, maps, dead=facts["dead_channels"], scale=record.options["scale"])
    if record.options["maps"] == ALL:
        return [grid(title, range(channels), EVERY if len(record.options["layer"]) == 1 else TALLEST)]
    contributions = record.arrays.get(f"contribution/{facts['name']}")
    words = [
        str(k) if contributions is None else f"{k}: {formatting.signed_number(contributions[index, k])}"
        for k in facts["shown"]
    ]
    large = grid(title, facts["shown"], tallest, words=words)
    others = sorted({*range(channels)} - {*facts["shown"]})
    if not others:
        return [large]
    rest = f"the other {len(others)} maps of {name}, in the order of channels"
    if contributions is not None:
        rest += f" · contribute {formatting.signed_number(contributions[index, others].sum())}"
    return [large, grid(rest, others, OTHERS)]


def _classes(record: Record, title: str, values: Floats, dead: list[int], unit: str) -> Strip:
    """The strip of a bar for each class with its name; where the names have no room, of the strongest classes."""
    names = [drawing.class_name(record, index) for index in range(len(record.labels))]
    # One sigmoid unit stands for the last of its two classes; of values come first those that the model returns.
    names = names[: len(values)] if wording.has_values(record) else names[-len(values) :]
    unit = wording.in_units(record, "logit") if unit == "value" else unit
    if len(values) * PITCH <= WIDTH and all(drawing.text_width(each, TICK) < PITCH for each in names):
        return _bars(title, values, dead, unit, names)
    return _ranking(title, values, unit, names)


def _grid(
    layer: Floats,
    title: str,
    chosen: Sequence[int],
    tallest: float,
    *,
    dead: Sequence[int],
    scale: str,
    words: Sequence[str] = (),
) -> Strip:
    """The strip of some of a layer's maps (C, H, W), along the rows in the order chosen, each over its words.

    All of a layer's strips have one scale. Without words the number of its first map stands beside a row.
    """
    maps = layer[list(chosen)]
    count, height, width = maps.shape
    # As tiles leave it between two maps.
    line = drawing.tiles(maps[[0, 0]], 2).shape[1] - 2 * width
    columns, pixel_width, pixel_height = _fit(count, height, width, line, tallest, named=bool(words))
    below = max(line, math.ceil(NAMED / pixel_height)) if words else line
    rows = math.ceil(count / columns)
    signed, unit, limit = layer.min() < 0, "activation", drawing.percentile_limit(layer)
    if scale == "channel":
        peaks = np.abs(maps).max(axis=(1, 2), keepdims=True)
        maps, unit = maps / np.where(peaks == 0, 1, peaks), "of the map's peak"
        limit = 1.0
    cells = np.arange(count)
    left, top = cells % columns * (width + line) - 0.5, cells // columns * (height + below) - 0.5
    right, bottom = left + width, top + height
    corners = np.array([[left, top], [right, top], [right, bottom], [left, bottom]]).transpose(2, 0, 1)
    crossed = np.flatnonzero(np.isin(chosen, dead))
    # Down to the words of the last row.
    sheet = np.full((rows * (height + below) - (0 if words else below), columns * (width + line) - line), np.nan, np.float32)
    for cell, each in enumerate(maps):
        y, x = cell // columns * (height + below), cell % columns * (width + line)
        sheet[y : y + height, x : x + width] = each

    def paint(panel: Axes) -> None:
        paint_maps = drawing.signed_map if signed else drawing.unsigned_map
        paint_maps(panel, sheet, unit, limit=limit)
        panel.set_aspect("auto")
        faces = np.full(count, "none", object)
        faces[crossed] = DEAD
        boxes = PolyCollection(list(corners), facecolors=faces, edgecolors=FRAME, linewidths=0.5, clip_on=False)
        panel.add_collection(boxes, autolim=False)
        # The crosses of a thousand small maps would be all that is seen.
        if min(pixel_height * height, pixel_width * width) >= CROSSED:
            diagonals = corners[crossed][:, [[0, 2], [1, 3]]].reshape(-1, 2, 2)
            panel.add_collection(LineCollection(list(diagonals), colors=CROSS, linewidths=0.8), autolim=False)
        for cell, text in enumerate(words):
            panel.text(
                (left[cell] + right[cell]) / 2,
                bottom[cell] + 0.02 / pixel_height,
                text,
                fontsize=TICK,
                ha="center",
                va="top",
                parse_math=False,
            )
        for row in range(0, 0 if words else rows, math.ceil(SPACING / (pixel_height * (height + below)))):
            panel.text(
                -0.06 / panel_width,
                row * (height + below) + (height - 1) / 2,
                str(chosen[row * columns]),
                transform=panel.get_yaxis_transform(),
                fontsize=TICK,
                color=drawing.GRAY,
                ha="right",
                va="center",
            )

    panel_width, panel_height = (
        pixel * side for pixel, side in zip((pixel_width, pixel_height), sheet.shape[::-1], strict=True)
    )
    near = drawing.text_width(title, drawing.TITLE_SIZE) < panel_width
    return Strip(title, panel_width, panel_height, paint, pad=NEAR if near else FAR)


def _fit(count: int, height: int, width: int, line: int, tallest: float, *, named: bool = False) -> tuple[int, float, float]:
    """How many of `count` maps go in a row, and a map pixel's width and height in inches.

    Maps are as large as room and taste allow. Of layouts with almost the same size the one with the fewest rows is taken,
    with these filled as evenly as can be. Pixels are square but in maps that are long and thin, such as sequences. Named
    maps are large, with room under them.
    """
    longest = max(height, width)
    side = max(LARGE if named else SMALL, min(LARGE, 0.04 * longest), longest / DOTS)
    # The map's height and width as shares of its longer side.
    tall, wide = max(height / longest, THIN), max(width / longest, THIN)
    columns = np.arange(1, count + 1)
    rows = -(-count // columns)
    room = tallest - NAMED * rows * named
    across, down = wide * (columns + (columns - 1) * line / width), tall * (rows + (rows - 1) * line / height)
    sides = np.minimum(np.minimum(WIDTH / across, room / down), side)
    good = np.flatnonzero(sides >= 0.9 * sides.max())
    best = good[rows[good].argmin()]
    return int(columns[best]), float(sides[best] * wide / width), float(sides[best] * tall / height)


def _bars(title: str, values: Floats, dead: list[int], unit: str, names: list[str]) -> Strip:
    """The strip of a named bar for each of the values (K,); of many names some are shown."""
    count = len(values)
    width = min(WIDTH, max(PITCH * count, 1.0))

    def paint(panel: Axes) -> None:
        # A bar is never thinner than what can be seen.
        thick = max(0.8 * 72 * width / count, 0.7)
        places = np.arange(count)
        panel.vlines(places, 0, values, colors=_colors(values), linewidths=thick)
        panel.vlines(
            dead, -0.09, -0.03, colors=CROSS, linewidths=thick, transform=panel.get_xaxis_transform(), clip_on=False
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
        panel.tick_params(axis="x", length=0, pad=8, labelsize=TICK)
        panel.tick_params(axis="y", length=2, labelsize=TICK)

    return Strip(title, width, BARS, paint)


def _ranking(title: str, values: Floats, unit: str, names: list[str]) -> Strip:
    """The strip of the classes with the largest values (K,), the largest first, each a bar with its name and value."""
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
        panel.tick_params(axis="x", length=2, labelsize=TICK)
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

    some = f" · the {len(order)} strongest" if len(order) < len(values) else ""
    return Strip(title + some, WIDTH / 3, LINE * len(order), paint, beside=NAMES + drawing.GAP)


def _colors(values: Floats) -> list[tuple[float, float, float, float]]:
    below, above = (mpl.colormaps[drawing.current_palette().signed](end) for end in (0.1, 0.9))
    return [below if value < 0 else above for value in values]


def _range(values: Array, unit: str) -> tuple[float, float]:
    """The ends of a scale that holds the values and 0, with some room; those of a probability unless all are small."""
    if unit == "probability" and values.max() > UNSURE:
        return 0.0, 1.0
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
    room = 0.04 * (high - low)
    return (low - room if low else 0.0, high + room if high else 0.0) if room else (0.0, 1.0)


def _shape(shape: tuple[int, ...] | list[int]) -> str:
    return "×".join(map(str, shape)) or "1"
