"""The figure of intermediate outputs: a strip for each layer, in one or several columns."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnexplain import draw as drawing
from cnnexplain.draw import formatting
from cnnexplain_plugins.intermediate_outputs import ALL
from cnnexplain_plugins.intermediate_outputs.bars import class_bars, unit_bars
from cnnexplain_plugins.intermediate_outputs.layers import grid_words, maps_of
from cnnexplain_plugins.intermediate_outputs.map_grid import map_grid
from cnnexplain_plugins.intermediate_outputs.strip import Strip

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from cnnexplain import Record

LEFT, BETWEEN = 0.62, 0.6
"""Inches to the left of a strip, for the numbers of channels and scales, and between strips, for their titles."""

SHARED, MAX_HEIGHT, MIN_HEIGHT, COLUMN = 18.0, 8.0, 0.8, 30.0
"""Inches: the height that the strips share, the most and the least that a strip gets of it, and the height of a column."""

OTHERS, SINGLE = 0.7, 24.0
"""Maximum height in inches of the maps that are not shown large, and of all maps of a layer that is shown without others."""

INPUT = 1.5
"""The longer side of the input in inches."""

NAME = 50
"""Maximum number of characters of a layer's name."""


def draw(record: Record, index: int) -> Figure:
    """The input and the strips of each layer of image `index`; in several columns if one would be too high."""
    layers = record.facts["layers"][index]
    max_height = min(max(SHARED / len(layers), MIN_HEIGHT), MAX_HEIGHT)
    strips = [_input(record, index), *(strip for facts in layers for strip in _layer(record, index, facts, max_height))]
    if not record.options["layer"] and layers[-1]["unit"] == "logit" and "probabilities" in record.arrays:
        values = record.arrays["probabilities"][index]
        strips.append(class_bars(record, "probabilities", values, [], "probability"))
    *tops, total = np.cumsum([0, *(strip.height + BETWEEN for strip in strips)])
    columns = math.ceil(total / COLUMN)
    column = [int(columns * top / total) for top in tops]
    starts = [tops[column.index(number)] for number in range(columns)]
    positions = [(number, top - starts[number]) for number, top in zip(column, tops, strict=True)]
    column_width = LEFT + max(strip.total_width for strip in strips)
    height = max(top + strip.height for (_, top), strip in zip(positions, strips, strict=True))
    figure = drawing.sheet(record, columns * column_width, height + BETWEEN / 2)
    for (number, top), strip in zip(positions, strips, strict=True):
        panel = drawing.panel(figure, number * column_width + LEFT, top, strip.width, strip.height)
        strip.paint(panel)
        # Aligned to the left, since a panel is often narrower than its title.
        drawing.title(panel, strip.title, side="left", room=strip.total_width, pad=strip.pad)
    drawing.caption(figure, record, index)
    return figure


def _input(record: Record, index: int) -> Strip:
    image = record.images[index]
    title = f"input · {_shape(image.shape)} · {formatting.number(image.min())} to {formatting.number(image.max())}"
    width, height = drawing.panel_size(record, INPUT)
    return Strip(title, width, height, lambda panel: drawing.input_image(panel, record, index))


def _layer(record: Record, index: int, facts: Mapping[str, Any], max_height: float) -> list[Strip]:
    """The strip of a layer, and one of the maps that are not shown large in it."""
    output = record.arrays[f"output/{facts['name']}"][index]
    channels = facts["shape"][-1] if facts["shape"] else 1
    name = drawing.shorten(facts["name"], NAME, tail=True)
    title = (
        f"{name} ({facts['kind']}) · {_shape(facts['shape'])}{grid_words(facts)} · "
        f"{formatting.number(facts['min'])} to {formatting.number(facts['max'])} · {facts['dead']} of {channels} dead"
    )
    if facts["contribution"] is not None and facts["unit"] == "activation":
        score = formatting.number(record.facts["value"][index])
        title += f" · contributes {formatting.signed_number(facts['contribution'], 3)} of {score}"
    if output.ndim == 1 and facts["unit"] == "activation":
        return [unit_bars(title, output, facts["dead_channels"], facts["unit"], list(map(str, range(output.size))))]
    if output.ndim < 2:
        return [class_bars(record, title, output.reshape(-1), facts["dead_channels"], facts["unit"])]
    maps = maps_of(output, facts.get("grid"))
    grid = partial(map_grid, maps, dead=facts["dead_channels"], scale=record.options["scale"])
    if record.options["maps"] == ALL:
        return [grid(title, range(channels), SINGLE if len(record.options["layer"]) == 1 else MAX_HEIGHT)]
    contributions = record.arrays.get(f"contribution/{facts['name']}")
    labels = [
        str(k) if contributions is None else f"{k}: {formatting.signed_number(contributions[index, k])}"
        for k in facts["shown"]
    ]
    large = grid(title, facts["shown"], max_height, labels=labels)
    others = sorted({*range(channels)} - {*facts["shown"]})
    if not others:
        return [large]
    rest = f"the other {len(others)} maps of {name}, in channel order"
    if contributions is not None:
        rest += f" · contribute {formatting.signed_number(contributions[index, others].sum())}"
    return [large, grid(rest, others, OTHERS)]


def _shape(shape: tuple[int, ...] | list[int]) -> str:
    return "×".join(map(str, shape)) or "1"
