"""The pictures of the deconvnet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.patches import Rectangle

from cnnexplain import draw
from cnnexplain.draw import formatting
from cnnexplain_plugins.deconvnet.crops import overlap, paste

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from cnnexplain import Floats, Record

CELL, LARGE, WORDS, TITLE, GAP = 1.25, 1.7, 1.25, 0.3, 0.12
"""Inches of a projection's longer side, of a photograph's, of its width at least, for its title, and between two of them."""

LABEL, UNDER = 0.22, 0.12
"""Inches over the titles for the name of a row, and under a projection for the end of its scale."""

PART, TINY, TILE = 3, 24, 0.6
"""What is at most one part in so many of the image is shown by itself; where it is of so few pixels, in tiles of so many
inches at most."""

VISIBLE = 0.03
"""The least side of the frame that tells where a part lies, as a share of the image's longer side."""

SCALE = f"{draw.LIMIT_PERCENTILE:g}th percentile"
"""What the colors of a projection end at, of its magnitudes."""

BOLD = 1.15
"""How many times the width of plain letters bold ones take."""

COLORS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
"""Told apart by all eyes (Okabe, Ito 2008); the frames of the parts of an image."""

MOSAIC, WIDE_MOSAIC, COLUMNS = 1.15, 2.1, 3
"""Inches of a square of nine patches, of larger patches, and how many of them lie side by side in it."""

LINE = 0.6
"""The gray, of 0 to 1, of the lines around patches."""

SMALL = 48
"""Patches of fewer pixels are enlarged pixel by pixel, others are smoothed where they must be made smaller."""

WIDTH = 13.5
"""Inches that a figure of patches may be wide."""


@dataclass(frozen=True)
class _Row:
    """A layer in the picture of an image: where it begins, and how high it is, in inches."""

    layer: str
    maps: Sequence[Mapping[str, Any]]
    rules: Sequence[str]
    crop: tuple[int, int]
    form: str
    top: float
    height: float


def projections(record: Record, index: int) -> Figure:
    """The image, and for each layer and rule a row with the projections of its feature maps.

    What units see stands beside its projection where it is but a small part of the image, in small tiles where it is a few
    pixels; frames on the image tell where these parts lie. Projections to a larger part are shown in their place.
    """
    cell = CELL if max(record.images.shape[1:3]) < 2 * SMALL else LARGE
    wide, tall = draw.panel_size(record, cell)
    wide = max(wide, WORDS)
    rows = _rows(record, index, tall)
    left = wide + 4 * GAP
    most = max(len(row.maps) for row in rows)
    height = max(rows[-1].top + rows[-1].height, LABEL + tall)
    figure = draw.sheet(record, left + most * (wide + GAP) + draw.COLORBAR_WIDTH, height)
    beside: Axes | None = None
    for place, row in enumerate(rows):
        # Layers of tiles share one image, which is as high as several of them.
        if beside is None or row.form != "tiles" or rows[place - 1].form != "tiles":
            beside = draw.panel(figure, 0, row.top + LABEL, wide, tall)
            draw.input_image(beside, record, index)
            draw.title(beside, "input")
            if not place:
                value = formatting.number(record.facts["value"][index])
                draw.text_below(beside, f"maps: contribution\nto the score {value}")
        lefts = [left + rank * (wide + GAP) for rank in range(len(row.maps))]
        if row.form == "tiles":
            _tiles(figure, record, index, row, lefts, wide)
        else:
            _panels(figure, record, index, row, lefts, (wide, tall))
        if row.form != "whole":
            for rank, fact in enumerate(row.maps):
                beside.add_patch(_place(fact["field"], record.images.shape[1:3], COLORS[rank % len(COLORS)]))
    draw.caption(figure, record, index)
    return figure


def _rows(record: Record, index: int, tall: float) -> list[_Row]:
    rows: list[_Row] = []
    top = 0.0
    for layer, maps in record.facts["strongest"][index].items():
        rules = list(record.facts["rules"][index][layer])
        crop = record.arrays[f"projection/{layer}/{rules[0]}"].shape[2:4]
        form = _form(crop, record.images.shape[1:3], known=all(fact["field"] is not None for fact in maps))
        # Behind tiles there may be room left that the image beside them takes.
        if rows and rows[-1].form == "tiles" and form != "tiles":
            first = next(row.top for row in rows if row.form == "tiles")
            top = max(top, first + LABEL + tall + UNDER + TITLE)
        lines = 1 if form == "tiles" else len(rules) + (form == "part")
        height = lines * (LABEL + (TILE if form == "tiles" else tall) + TITLE + UNDER) - TITLE
        rows.append(_Row(layer, maps, rules, (crop[0], crop[1]), form, top, height))
        top += height + TITLE
    return rows


def _form(crop: Sequence[int], image: Sequence[int], *, known: bool) -> str:
    if not known or any(PART * small > large for small, large in zip(crop, image, strict=True)):
        return "whole"
    return "tiles" if max(crop) <= TINY else "part"


def _tiles(figure: Figure, record: Record, index: int, row: _Row, lefts: Sequence[float], wide: float) -> None:
    """A layer in one row: for each feature map a tile of what it sees, and one of each projection."""
    side = min(TILE, (wide - 0.04 * len(row.rules)) / (1 + len(row.rules)))
    size = f"{row.crop[0]}×{row.crop[1]} pixels"
    for rank, (left, fact) in enumerate(zip(lefts, row.maps, strict=True)):
        places = [left + place * (side + 0.04) for place in range(1 + len(row.rules))]
        tiles = [draw.panel(figure, each, row.top + LABEL, side, TILE) for each in places]
        for tile in tiles:
            tile.set_anchor("N")
        draw.title(tiles[0], _words(fact), side="left", room=wide, pad=3)
        if not rank:
            _label(tiles[0], left, f"{row.layer}: {size} that a unit sees, and their projection ({', '.join(row.rules)})")
        _seen(tiles[0], record, index, fact["field"], rank)
        for tile, rule in zip(tiles[1:], row.rules, strict=True):
            signal = record.arrays[f"projection/{row.layer}/{rule}"][index, rank]
            _, here = overlap(fact["corner"], signal.shape, record.images.shape[1:3])
            limit = draw.percentile_limit(signal[here])
            draw.signed_image(tile, record, signal[here] / limit, "", bar=False)
            draw.text_below(tile, f"± {formatting.number(limit)}" if signal.any() else "no signal")


def _panels(
    figure: Figure, record: Record, index: int, row: _Row, lefts: Sequence[float], size: tuple[float, float]
) -> None:
    """A layer in several rows: what its feature maps see, where it is a part of the image, and the projections by rule."""
    wide, tall = size
    for line, rule in enumerate([*([None] if row.form == "part" else []), *row.rules]):
        top = row.top + line * (LABEL + tall + TITLE + UNDER) + LABEL
        panels = [draw.panel(figure, left, top, wide, tall) for left in lefts]
        for panel, fact in zip(panels, row.maps, strict=True):
            # What is cut at the image's border is no square, and its title should stand where the others do.
            panel.set_anchor("N")
            draw.title(panel, _words(fact), pad=3)
        if rule is None:
            seen = f"{row.crop[0]}×{row.crop[1]} pixels"
            _label(panels[0], lefts[0], f"{row.layer}: {seen} that each map's strongest unit sees")
            for rank, (panel, fact) in enumerate(zip(panels, row.maps, strict=True)):
                _seen(panel, record, index, fact["field"], rank)
            continue
        _label(panels[0], lefts[0], f"{row.layer}, rule {rule}: projections of each map's strongest unit")
        signals = record.arrays[f"projection/{row.layer}/{rule}"][index]
        for rank, (panel, signal, fact) in enumerate(zip(panels, signals, row.maps, strict=True)):
            _, here = overlap(fact["corner"], signal.shape, record.images.shape[1:3])
            limit = draw.percentile_limit(signal[here])
            shown = signal[here] if row.form == "part" else paste(signal, fact["corner"], record.images.shape[1:3])
            # Each to its own bound, since those of a row can differ a thousandfold.
            draw.signed_image(panel, record, shown / limit, f"signal / {SCALE}", bar=rank == len(panels) - 1)
            draw.text_below(panel, f"± {formatting.number(limit)}" if signal.any() else "no signal")


def _seen(panel: Axes, record: Record, index: int, field: Sequence[Sequence[int]], rank: int) -> None:
    """What a unit sees, in the color of its frame."""
    rows, columns = (slice(*each) for each in field)
    draw.image_values(panel, record, record.images[index][rows, columns])
    frame = _frame(COLORS[rank % len(COLORS)], 2)
    panel.add_patch(Rectangle((0, 0), 1, 1, transform=panel.transAxes, **frame))


def _words(fact: Mapping[str, Any]) -> str:
    """A map's number, and what it contributes to what is explained."""
    return f"map {fact['map']}: {formatting.signed_number(fact['contribution'])}"


def _place(field: Sequence[Sequence[int]], size: Sequence[int], color: str) -> Rectangle:
    """The frame of a part of the image, around its middle, and as large as can be seen."""
    middles = [(first + last - 1) / 2 for first, last in field]
    tall, wide = (max(last - first, VISIBLE * max(size)) for first, last in field)
    return Rectangle((middles[1] - wide / 2, middles[0] - tall / 2), wide, tall, **_frame(color, 1.2))


def _frame(color: str, width: float) -> dict[str, Any]:
    return {"fill": False, "edgecolor": color, "linewidth": width, "clip_on": False}


def _label(panel: Axes, left: float, text: str) -> None:
    """Names the row that begins with a panel, so far from the left, in as many letters as fit."""
    figure = panel.get_figure(root=True)
    assert figure is not None
    draw.row_label(panel, draw.fit_text(text, (figure.get_figwidth() - left - 2 * draw.GAP) / BOLD, draw.LABEL_SIZE))


def patches(record: Record, layer: str) -> Figure:
    """A layer's feature maps, each with its nine strongest patches of the data set beside their projections."""
    maps = record.facts["over_dataset"][layer]
    rules = list(record.facts["rules"][0][layer])
    seen = record.arrays[f"patch/{layer}"]
    height, width = seen.shape[2:4]
    small = max(height, width) < SMALL
    scale = (MOSAIC if small else WIDE_MOSAIC) / max(height, width)
    smooth = "nearest" if small else "antialiased"
    wide, tall = max(width * scale, 0.5 * MOSAIC), height * scale
    block = (1 + len(rules)) * (wide + 0.06) + 2 * GAP
    columns = max(1, min(len(maps), int(WIDTH / block)))
    rows = -(-len(maps) // columns)
    step = tall + UNDER + TITLE
    figure = draw.sheet(record, columns * block, rows * step - TITLE)
    clipped = any(each["unclipped"] > each["activation"] > 0 for fact in maps for each in fact["strongest"])
    for number, fact in enumerate(maps):
        left, top = number % columns * block, number // columns * step
        strengths = [each["unclipped" if clipped else "activation"] for each in fact["strongest"]]
        panel = draw.panel(figure, left, top, wide, tall)
        panel.set_title(_strengths(fact["map"], strengths), fontsize=draw.SMALL_SIZE, y=1, pad=3, loc="left")
        # What a map that is not active would show is the first unit of some image.
        active = np.array(strengths) > 0
        if not active.any():
            continue
        shown = draw.tiles(np.where(active[:, None, None, None], draw.image_rgb(record, seen[number]), 1), COLUMNS, gap=LINE)
        panel.imshow(shown, vmin=0, vmax=1, cmap="gray", interpolation=smooth)
        # Where the outer patches are white they would end nowhere.
        panel.add_patch(Rectangle((0, 0), 1, 1, transform=panel.transAxes, **_frame(str(LINE), 0.5)))
        for place, rule in enumerate(rules, start=1):
            signals = record.arrays[f"patch_projection/{layer}/{rule}"][number]
            limits = [draw.percentile_limit(signal) for signal in signals]
            beside = draw.panel(figure, left + place * (wide + 0.06), top, wide, tall)
            beside.imshow(_mosaic(draw.display_channels(record, signals), limits), interpolation=smooth)
            draw.text_below(beside, _bounds([limit for limit, signal in zip(limits, signals, strict=True) if signal.any()]))
            if len(rules) > 1:
                beside.set_title(rule, fontsize=draw.SMALL_SIZE, y=1, pad=3, loc="left", color=draw.GRAY)
    where = draw.shorten(record.provenance["dataset"]["name"], 40, tail=True)
    zero = "" if seen.shape[-1] == 1 else ", zero in gray"
    draw.heading(
        figure,
        f"{layer}: the {seen.shape[1]} strongest activations of each feature map in {where}"
        + (", before the clip" if clipped else ""),
        f"patches beside their projections ({', '.join(rules)}), each to ± its {SCALE}{zero}",
    )
    return figure


def _mosaic(signals: Floats, limits: Sequence[float]) -> Floats:
    scaled = np.stack([signal / limit for signal, limit in zip(signals, limits, strict=True)])
    return draw.tiles(draw.signed_rgb(scaled, 1), COLUMNS, gap=1)


def _bounds(limits: Sequence[float]) -> str:
    """What the colors of several projections end at."""
    if not limits:
        return "no signal"
    first, last = formatting.number(min(limits)), formatting.number(max(limits))
    return f"± {first}" if first == last else f"± {first} to {last}"


def _strengths(number: int, values: list[float]) -> str:
    if max(values) <= 0:
        return f"map {number}: never active"
    words = [formatting.number(value, 2) for value in (values[0], *values[1:][-1:])]
    return f"map {number}: {' to '.join(words)}"
