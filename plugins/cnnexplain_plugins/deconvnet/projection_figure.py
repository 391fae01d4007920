"""The figure of an image: projections of the feature maps that contribute most, for each layer and rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from matplotlib.patches import Rectangle

from cnnexplain import draw
from cnnexplain.draw import formatting
from cnnexplain_plugins.deconvnet.crops import overlap, paste

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from cnnexplain import Record

CELL, LARGE_CELL, MIN_WIDTH, TITLE, GAP = 1.25, 1.7, 1.25, 0.3, 0.12
"""Inches: the longer side of a projection of a small or a large image, its minimum width, its title, the gap between two."""

LABEL, FOOTER = 0.22, 0.12
"""Inches: the label of a row, above the titles, and the limit of the color scale, below a projection."""

PART, TINY, TILE = 3, 24, 0.6
"""A receptive field of at most 1/`PART` of the image along each side is shown separately; one of at most `TINY` pixels, in
tiles of at most `TILE` inches."""

VISIBLE = 0.03
"""The minimum side of the frame that shows the position of a receptive field, as a share of the longer side of the image."""

SCALE = f"{draw.LIMIT_PERCENTILE:g}th percentile"
"""The limit of the colors of a projection, among its magnitudes."""

BOLD = 1.15
"""The width of bold text relative to regular text."""

COLORS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
"""Colors of the frames, which color-blind readers can distinguish (Okabe, Ito 2008)."""

SMALL = 96
"""Images whose longer side is shorter than this are drawn in panels of `CELL` inches, others of `LARGE_CELL`."""


@dataclass(frozen=True)
class _Row:
    """A layer in the figure of an image.

    Args:
        layer: Its name.
        maps: The facts of the feature maps.
        rules: The rules with which they are projected.
        crop: Height and width of the receptive field, in pixels.
        form: "tiles", "part" or "whole"; see `_form`.
        top: Where the layer begins, in inches.
        height: Its height in inches.
    """

    layer: str
    maps: Sequence[Mapping[str, Any]]
    rules: Sequence[str]
    crop: tuple[int, int]
    form: str
    top: float
    height: float


def projections(record: Record, index: int) -> Figure:
    """The image, and for each layer and rule a row with the projections of its feature maps.

    A receptive field that is a small part of the image is shown next to its projection, in tiles if it consists of a few
    pixels; frames on the image show where these fields lie. Projections to larger fields are drawn in their position in the
    image.
    """
    cell = CELL if max(record.images.shape[1:3]) < SMALL else LARGE_CELL
    wide, tall = draw.panel_size(record, cell)
    wide = max(wide, MIN_WIDTH)
    rows = _rows(record, index, tall)
    left = wide + 4 * GAP
    most = max(len(row.maps) for row in rows)
    height = max(rows[-1].top + rows[-1].height, LABEL + tall)
    figure = draw.sheet(record, left + most * (wide + GAP) + draw.COLORBAR_WIDTH, height)
    image_panel: Axes | None = None
    for place, row in enumerate(rows):
        # Layers drawn as tiles share one image, which is as high as several of them.
        if image_panel is None or row.form != "tiles" or rows[place - 1].form != "tiles":
            image_panel = draw.panel(figure, 0, row.top + LABEL, wide, tall)
            draw.input_image(image_panel, record, index)
            draw.title(image_panel, "input")
            if not place:
                value = formatting.number(record.facts["value"][index])
                draw.text_below(image_panel, f"maps: contribution\nto the score {value}")
        lefts = [left + rank * (wide + GAP) for rank in range(len(row.maps))]
        if row.form == "tiles":
            _tiles(figure, record, index, row, lefts, wide)
        else:
            _panels(figure, record, index, row, lefts, (wide, tall))
        if row.form != "whole":
            for rank, fact in enumerate(row.maps):
                image_panel.add_patch(_field_frame(fact["field"], record.images.shape[1:3], COLORS[rank % len(COLORS)]))
    draw.caption(figure, record, index)
    return figure


def _rows(record: Record, index: int, tall: float) -> list[_Row]:
    rows: list[_Row] = []
    top = 0.0
    for layer, maps in record.facts["strongest"][index].items():
        rules = list(record.facts["rules"][index][layer])
        crop = record.arrays[f"projection/{layer}/{rules[0]}"].shape[2:4]
        form = _form(crop, record.images.shape[1:3], known=all(fact["field"] is not None for fact in maps))
        # The image next to the tiles may be higher than they are.
        if rows and rows[-1].form == "tiles" and form != "tiles":
            first = next(row.top for row in rows if row.form == "tiles")
            top = max(top, first + LABEL + tall + FOOTER + TITLE)
        lines = 1 if form == "tiles" else len(rules) + (form == "part")
        height = lines * (LABEL + (TILE if form == "tiles" else tall) + TITLE + FOOTER) - TITLE
        rows.append(_Row(layer, maps, rules, (crop[0], crop[1]), form, top, height))
        top += height + TITLE
    return rows


def _form(crop: Sequence[int], image: Sequence[int], *, known: bool) -> str:
    """How a layer is drawn, given the size of its receptive fields.

    Returns:
        "tiles" or "part" for small and larger parts of the image, or "whole" for projections in their position in the image.
    """
    if not known or any(PART * small > large for small, large in zip(crop, image, strict=True)):
        return "whole"
    return "tiles" if max(crop) <= TINY else "part"


def _tiles(figure: Figure, record: Record, index: int, row: _Row, lefts: Sequence[float], wide: float) -> None:
    """Draws a layer in one row: for each feature map a tile of its receptive field, and one of each projection."""
    side = min(TILE, (wide - 0.04 * len(row.rules)) / (1 + len(row.rules)))
    size = f"{row.crop[0]}×{row.crop[1]} pixels"
    for rank, (left, fact) in enumerate(zip(lefts, row.maps, strict=True)):
        places = [left + place * (side + 0.04) for place in range(1 + len(row.rules))]
        tiles = [draw.panel(figure, each, row.top + LABEL, side, TILE) for each in places]
        for tile in tiles:
            tile.set_anchor("N")
        draw.title(tiles[0], _map_title(fact), side="left", room=wide, pad=3)
        if not rank:
            _label(tiles[0], left, f"{row.layer}: {size} seen by a unit, and their projection ({', '.join(row.rules)})")
        _field_pixels(tiles[0], record, index, fact["field"], rank)
        for tile, rule in zip(tiles[1:], row.rules, strict=True):
            signal = record.arrays[f"projection/{row.layer}/{rule}"][index, rank]
            _, inside = overlap(fact["corner"], signal.shape, record.images.shape[1:3])
            limit = draw.percentile_limit(signal[inside])
            draw.signed_image(tile, record, signal[inside] / limit, "", bar=False)
            draw.text_below(tile, f"± {formatting.number(limit)}" if signal.any() else "no signal")


def _panels(
    figure: Figure, record: Record, index: int, row: _Row, lefts: Sequence[float], size: tuple[float, float]
) -> None:
    """Draws a layer in several rows: the receptive fields, if they are a part of the image, and the projections by rule."""
    wide, tall = size
    for line, rule in enumerate([*([None] if row.form == "part" else []), *row.rules]):
        top = row.top + line * (LABEL + tall + TITLE + FOOTER) + LABEL
        panels = [draw.panel(figure, left, top, wide, tall) for left in lefts]
        for panel, fact in zip(panels, row.maps, strict=True):
            # A field that is cut at the border of the image is not square; its title stays level with the others.
            panel.set_anchor("N")
            draw.title(panel, _map_title(fact), pad=3)
        if rule is None:
            pixels = f"{row.crop[0]}×{row.crop[1]} pixels"
            _label(panels[0], lefts[0], f"{row.layer}: {pixels} seen by the strongest unit of each map")
            for rank, (panel, fact) in enumerate(zip(panels, row.maps, strict=True)):
                _field_pixels(panel, record, index, fact["field"], rank)
            continue
        _label(panels[0], lefts[0], f"{row.layer}, rule {rule}: projections of the strongest unit of each map")
        signals = record.arrays[f"projection/{row.layer}/{rule}"][index]
        for rank, (panel, signal, fact) in enumerate(zip(panels, signals, row.maps, strict=True)):
            _, inside = overlap(fact["corner"], signal.shape, record.images.shape[1:3])
            limit = draw.percentile_limit(signal[inside])
            shown = signal[inside] if row.form == "part" else paste(signal, fact["corner"], record.images.shape[1:3])
            # Each has its own scale: within a row they can differ by a factor of a thousand.
            draw.signed_image(panel, record, shown / limit, f"signal / {SCALE}", bar=rank == len(panels) - 1)
            draw.text_below(panel, f"± {formatting.number(limit)}" if signal.any() else "no signal")


def _field_pixels(panel: Axes, record: Record, index: int, field: Sequence[Sequence[int]], rank: int) -> None:
    """Shows the pixels in the receptive field of a unit, with the frame that marks them in the image."""
    rows, columns = (slice(*each) for each in field)
    draw.image_values(panel, record, record.images[index][rows, columns])
    frame = _frame(COLORS[rank % len(COLORS)], 2)
    panel.add_patch(Rectangle((0, 0), 1, 1, transform=panel.transAxes, **frame))


def _map_title(fact: Mapping[str, Any]) -> str:
    """The number of a feature map, and its contribution to the score."""
    return f"map {fact['map']}: {formatting.signed_number(fact['contribution'])}"


def _field_frame(field: Sequence[Sequence[int]], size: Sequence[int], color: str) -> Rectangle:
    """The frame of a receptive field in an image of `size`, enlarged around its middle if it would be invisible."""
    middles = [(first + last - 1) / 2 for first, last in field]
    tall, wide = (max(last - first, VISIBLE * max(size)) for first, last in field)
    return Rectangle((middles[1] - wide / 2, middles[0] - tall / 2), wide, tall, **_frame(color, 1.2))


def _frame(color: str, width: float) -> dict[str, Any]:
    return {"fill": False, "edgecolor": color, "linewidth": width, "clip_on": False}


def _label(panel: Axes, left: float, text: str) -> None:
    """Labels the row that begins with a panel, `left` inches from the left, cut to fit."""
    figure = panel.get_figure(root=True)
    assert figure is not None
    draw.row_label(panel, draw.fit_text(text, (figure.get_figwidth() - left - 2 * draw.GAP) / BOLD, draw.LABEL_SIZE))
