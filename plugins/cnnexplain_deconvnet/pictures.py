"""The pictures of the deconvnet."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cnnexplain import draw

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from cnnexplain.arrays import Floats
    from cnnexplain.record import Record

CELL, TITLE, GAP = 1.25, 0.3, 0.12
"""Inches of a projection's longer side, for its title, and between two of them."""

LABEL = 0.22
"""Inches over the titles for the name of a row."""

MOSAIC, COLUMNS = 1.15, 3
"""Inches of a square of nine patches, and how many of them lie side by side in it."""

SMALL = 48
"""Patches of fewer pixels are enlarged pixel by pixel, others are smoothed where they must be made smaller."""

WIDTH = 13.5
"""Inches that a figure of patches may be wide."""


def projections(record: Record, index: int) -> Figure:
    """The image, and for each layer and rule a row with the projections of its strongest feature maps."""
    strongest = record.facts["strongest"][index]
    rules = record.options["rule"]
    rows = [(layer, rule) for layer in strongest for rule in dict.fromkeys(rules)]
    wide, tall = draw.panel_size(record, CELL)
    step = LABEL + tall + TITLE
    most = max(len(maps) for maps in strongest.values())
    left = wide + 4 * GAP
    figure = draw.sheet(record, left + most * (wide + GAP) + draw.BAR, len(rows) * step - TITLE)
    input_panel = draw.panel(figure, 0, LABEL, wide, tall)
    draw.image(input_panel, record, index)
    draw.title(input_panel, "input")
    for row, (layer, rule) in enumerate(rows):
        signals = record.arrays[f"projection/{layer}/{rule}"][index]
        limit = draw.top(np.abs(signals))
        for rank, (fact, signal) in enumerate(zip(strongest[layer], signals, strict=True)):
            panel = draw.panel(figure, left + rank * (wide + GAP), row * step + LABEL, wide, tall)
            if signal.shape[-1] == 1:
                draw.signed(panel, signal[..., 0], "signal", limit=limit, bar=rank == len(signals) - 1)
            else:
                panel.imshow(draw.signal(record.preprocess.swap(signal), limit), interpolation="antialiased")
            panel.set_title(f"map {fact['map']}: {fact['activation']:.3g}", fontsize=8, pad=3)
            if not rank:
                draw.label(panel, f"{layer}, rule {rule}: strongest feature maps with their activation")
    draw.caption(figure, record, index)
    return figure


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
        panel.set_title(_words(fact["map"], activations), fontsize=7.5, pad=3, loc="left")
        # What a map that is never active would show is the first unit of some image.
        if max(activations) <= 0:
            continue
        shown = draw.tiles(draw.shown(record, seen[number]), COLUMNS)
        panel.imshow(shown, vmin=0, vmax=1, cmap="gray", interpolation=smooth)
        for place, rule in enumerate(rules, start=1):
            signals = record.arrays[f"patch_projection/{layer}/{rule}"][number]
            beside = draw.panel(figure, left + place * (wide + 0.06), top, wide, tall)
            beside.imshow(_mosaic(record.preprocess.swap(signals)), interpolation=smooth)
            if len(rules) > 1:
                beside.set_title(rule, fontsize=7.5, pad=3, loc="left", color="0.35")
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
