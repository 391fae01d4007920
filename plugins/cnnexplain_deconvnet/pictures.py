"""The pictures of the deconvnet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.patches import Rectangle

from cnnexplain import draw

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from cnnexplain.arrays import Floats
    from cnnexplain.record import Record

CELL, WORDS, TITLE, GAP = 1.25, 1.1, 0.3, 0.12
"""Inches of a projection's longer side, of its width at least, for its title, and between two of them."""

LABEL, UNDER = 0.22, 0.1
"""Inches over the titles for the name of a row, and under a projection for what its scale ends at, with the title's."""

PART, VISIBLE = 3, 0.03
"""What is at most one part in so many of the image is shown by itself; and the least side of the frame that tells where it
lies, as a share of the image's longer side."""

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
"""Told apart by all eyes (Okabe, Ito 2008); the frames of the parts of an image."""

MOSAIC, COLUMNS = 1.15, 3
"""Inches of a square of nine patches, and how many of them lie side by side in it."""

LINE = 0.6
"""The grey, of 0 to 1, of the lines around patches."""

SMALL = 48
"""Patches of fewer pixels are enlarged pixel by pixel, others are smoothed where they must be made smaller."""

WIDTH = 13.5
"""Inches that a figure of patches may be wide."""


def projections(record: Record, index: int) -> Figure:
    """The image, and for each layer and rule a row with the projections of its strongest feature maps.

    Where units see but a small part of the image, a row before shows these parts, and where they lie.
    """
    strongest = record.facts["strongest"][index]
    rows = [
        (layer, rule)
        for layer, maps in strongest.items()
        for rule in [*(() if _crops(record, maps) is None else (None,)), *dict.fromkeys(record.options["rule"])]
    ]
    wide, tall = draw.panel_size(record, CELL)
    wide = max(wide, WORDS)
    step = LABEL + tall + TITLE + UNDER
    most = max(len(maps) for maps in strongest.values())
    left = wide + 4 * GAP
    figure = draw.sheet(record, left + most * (wide + GAP) + draw.BAR, len(rows) * step - TITLE)
    for row, (layer, rule) in enumerate(rows):
        crops = _crops(record, strongest[layer])
        beside = draw.panel(figure, 0, row * step + LABEL, wide, tall)
        panels = [
            draw.panel(figure, left + rank * (wide + GAP), row * step + LABEL, wide, tall)
            for rank in range(len(strongest[layer]))
        ]
        if not row or rule is None:
            draw.image(beside, record, index)
            draw.title(beside, "input")
        for panel, fact in zip(panels, strongest[layer], strict=True):
            # What is cut at the image's border is no square, and its title should stand where the others do.
            panel.set_anchor("N")
            draw.title(panel, f"map {fact['map']}: {fact['activation']:.3g}", pad=3)
        if rule is None and crops is not None:
            draw.label(panels[0], f"{layer}: what its strongest feature maps see, with their activation")
            for rank, (panel, crop) in enumerate(zip(panels, crops, strict=True)):
                colour = COLOURS[rank % len(COLOURS)]
                draw.picture(panel, record, record.images[index][crop])
                panel.add_patch(Rectangle((0, 0), 1, 1, transform=panel.transAxes, **_frame(colour, 2)))
                beside.add_patch(_place(crop, record.images.shape[1:3], colour))
            continue
        draw.label(panels[0], f"{layer}, rule {rule}: projections of its strongest feature maps")
        signals = record.arrays[f"projection/{layer}/{rule}"][index]
        for rank, (panel, signal) in enumerate(zip(panels, signals, strict=True)):
            limit = float(np.abs(signal).max())
            seen = signal if crops is None else signal[crops[rank]]
            # Each to its own largest signal, since those of a row can differ a thousandfold.
            draw.signals(panel, record, seen / (limit or 1), "signal / largest", bar=rank == len(panels) - 1)
            draw.below(panel, f"± {limit:.3g}" if limit else "no signal")
    draw.caption(figure, record, index)
    return figure


def _crops(record: Record, maps: Sequence[Mapping[str, Any]]) -> list[tuple[slice, slice]] | None:
    """What each feature map's strongest unit sees of the image, where that is a small part of it for all of them."""
    height, width = record.images.shape[1:3]
    fields = [each["field"] for each in maps if each.get("field") is not None]
    if len(fields) < len(maps):
        return None
    crops = [(slice(*rows), slice(*columns)) for rows, columns in fields]
    small = all(PART * (r.stop - r.start) <= height and PART * (c.stop - c.start) <= width for r, c in crops)
    return crops if small else None


def _place(crop: tuple[slice, slice], size: Sequence[int], colour: str) -> Rectangle:
    """The frame of a part of the image, around its middle, and as large as can be seen."""
    middles = [(each.start + each.stop - 1) / 2 for each in crop]
    tall, wide = (max(each.stop - each.start, VISIBLE * max(size)) for each in crop)
    return Rectangle((middles[1] - wide / 2, middles[0] - tall / 2), wide, tall, **_frame(colour, 1.2))


def _frame(colour: str, width: float) -> dict[str, Any]:
    return {"fill": False, "edgecolor": colour, "linewidth": width, "clip_on": False}


def patches(record: Record, layer: str) -> Figure:
    """A layer's feature maps, each with its nine strongest patches of the data set beside their projections."""
    rules = list(dict.fromkeys(record.options["rule"]))
    maps = record.facts["over_dataset"][layer]
    seen = record.arrays[f"patch/{layer}"]
    height, width = seen.shape[2:4]
    scale = MOSAIC / max(height, width)
    smooth = "nearest" if max(height, width) < SMALL else "antialiased"
    wide, tall = max(width * scale, 0.5 * MOSAIC), height * scale
    block = (1 + len(rules)) * (wide + 0.06) + 2 * GAP
    columns = max(1, min(len(maps), int(WIDTH / block)))
    rows = -(-len(maps) // columns)
    figure = draw.sheet(record, columns * block, rows * (tall + TITLE) - TITLE)
    for number, fact in enumerate(maps):
        left, top = number % columns * block, number // columns * (tall + TITLE)
        activations = [each["activation"] for each in fact["strongest"]]
        panel = draw.panel(figure, left, top, wide, tall)
        panel.set_title(_words(fact["map"], activations), fontsize=draw.SMALL, y=1, pad=3, loc="left")
        # What a map that is never active would show is the first unit of some image.
        if max(activations) <= 0:
            continue
        shown = draw.tiles(draw.shown(record, seen[number]), COLUMNS, gap=LINE)
        panel.imshow(shown, vmin=0, vmax=1, cmap="gray", interpolation=smooth)
        # Where the outer patches are white they would end nowhere.
        panel.add_patch(Rectangle((0, 0), 1, 1, transform=panel.transAxes, **_frame(str(LINE), 0.5)))
        for place, rule in enumerate(rules, start=1):
            signals = record.arrays[f"patch_projection/{layer}/{rule}"][number]
            beside = draw.panel(figure, left + place * (wide + 0.06), top, wide, tall)
            beside.imshow(_mosaic(record.preprocess.swap(signals)), interpolation=smooth)
            if len(rules) > 1:
                beside.set_title(rule, fontsize=draw.SMALL, y=1, pad=3, loc="left", color=draw.QUIET)
    where = draw.shorten(record.provenance["dataset"]["name"], 40, tail=True)
    zero = "" if seen.shape[-1] == 1 else ", zero in grey"
    draw.heading(
        figure,
        f"{layer}: the {seen.shape[1]} strongest activations of each feature map in {where}",
        f"patches beside their projections ({', '.join(rules)}); each map's signals to ± their largest{zero}",
    )
    return figure


def _mosaic(signals: Floats) -> Floats:
    return draw.tiles(draw.signal(signals, draw.top(np.abs(signals))), COLUMNS, gap=1)


def _words(number: int, activations: list[float]) -> str:
    if max(activations) <= 0:
        return f"map {number}: never active"
    values = [f"{activations[0]:.2g}", *([f"{activations[-1]:.2g}"] if len(activations) > 1 else [])]
    return f"map {number}: {' to '.join(values)}".replace("-", "−")
