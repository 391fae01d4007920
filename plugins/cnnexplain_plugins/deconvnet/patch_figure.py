"""The figure of a layer over a data set: the strongest patches of each feature map, next to their projections."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.patches import Rectangle

from cnnexplain import draw
from cnnexplain.draw import formatting

if TYPE_CHECKING:
    from jaxtyping import Float, Float32
    from matplotlib.figure import Figure

    from cnnexplain import Record

MOSAIC, LARGE_MOSAIC, COLUMNS = 1.15, 2.1, 3
"""Inches of a square of nine patches, if they are small or large, and the patches in a row of it."""

LINE = 0.6
"""The gray, from 0 to 1, of the lines around patches."""

SMALL = 48
"""Patches of fewer pixels are enlarged pixel by pixel; others are smoothed when they are reduced."""

TITLE, FOOTER, GAP = 0.3, 0.12, 0.12
"""Inches: the title of a feature map, the limits of the color scales below it, and the gap between two."""

SCALE = f"{draw.LIMIT_PERCENTILE:g}th percentile"
"""The limit of the colors of a projection, among its magnitudes."""

WIDTH = 13.5
"""The maximum width of a figure of patches in inches."""


def patches(record: Record, layer: str) -> Figure:
    """A layer's feature maps, each with its nine strongest patches of the data set next to their projections."""
    maps = record.facts["over_dataset"][layer]
    rules = list(record.facts["rules"][0][layer])
    pixels = record.arrays[f"patch/{layer}"]
    height, width = pixels.shape[2:4]
    small = max(height, width) < SMALL
    scale = (MOSAIC if small else LARGE_MOSAIC) / max(height, width)
    interpolation = "nearest" if small else "antialiased"
    wide, tall = max(width * scale, 0.5 * MOSAIC), height * scale
    block = (1 + len(rules)) * (wide + 0.06) + 2 * GAP
    columns = max(1, min(len(maps), int(WIDTH / block)))
    rows = -(-len(maps) // columns)
    step = tall + FOOTER + TITLE
    figure = draw.sheet(record, columns * block, rows * step - TITLE)
    clipped = any(each["unclipped"] > each["activation"] > 0 for fact in maps for each in fact["strongest"])
    for number, fact in enumerate(maps):
        left, top = number % columns * block, number // columns * step
        strengths = [each["unclipped" if clipped else "activation"] for each in fact["strongest"]]
        panel = draw.panel(figure, left, top, wide, tall)
        panel.set_title(_strengths(fact["map"], strengths), fontsize=draw.SMALL_SIZE, y=1, pad=3, loc="left")
        # Patches of units that are not active would be arbitrary.
        active = np.array(strengths) > 0
        if not active.any():
            continue
        shown = np.where(active[:, None, None, None], draw.image_rgb(record, pixels[number]), 1)
        panel.imshow(draw.tiles(shown, COLUMNS, gap=LINE), vmin=0, vmax=1, cmap="gray", interpolation=interpolation)
        # Without a frame, white patches at the edge would have no visible border.
        panel.add_patch(
            Rectangle((0, 0), 1, 1, transform=panel.transAxes, fill=False, edgecolor=str(LINE), linewidth=0.5, clip_on=False)
        )
        for place, rule in enumerate(rules, start=1):
            signals = record.arrays[f"patch_projection/{layer}/{rule}"][number]
            limits = [draw.percentile_limit(signal) for signal in signals]
            projected = draw.panel(figure, left + place * (wide + 0.06), top, wide, tall)
            projected.imshow(_mosaic(draw.display_channels(record, signals), limits), interpolation=interpolation)
            nonzero = [limit for limit, signal in zip(limits, signals, strict=True) if signal.any()]
            draw.text_below(projected, _limits(nonzero, wide + draw.GAP))
            if len(rules) > 1:
                projected.set_title(rule, fontsize=draw.SMALL_SIZE, y=1, pad=3, loc="left", color=draw.GRAY)
    dataset = draw.shorten(record.provenance["dataset"]["name"], 40, tail=True)
    zero = "" if pixels.shape[-1] == 1 else ", zero in gray"
    draw.heading(
        figure,
        f"{layer}: the {pixels.shape[1]} strongest activations of each feature map in {dataset}"
        + (", before the clip" if clipped else ""),
        f"patches and their projections ({', '.join(rules)}), each scaled to ± its {SCALE}{zero}",
    )
    return figure


def _mosaic(signals: Float32[np.ndarray, "J h w C"], limits: Sequence[float]) -> Float[np.ndarray, "height width 3"]:
    """Projections as one image in color, each scaled to its limit."""
    scaled = np.stack([signal / limit for signal, limit in zip(signals, limits, strict=True)])
    return draw.tiles(draw.signed_rgb(scaled, 1), COLUMNS, gap=1)


def _limits(limits: Sequence[float], room: float) -> str:
    """The range of the limits of several projections, with fewer digits if it would not fit into `room` inches."""
    if not limits:
        return "no signal"
    for digits in (3, 2):
        first, last = (formatting.number(limit, digits) for limit in (min(limits), max(limits)))
        text = f"± {first}" if first == last else f"± {first} to {last}"
        if draw.text_width(text, draw.SMALL_SIZE) <= room:
            break
    return text


def _strengths(number: int, values: list[float]) -> str:
    if max(values) <= 0:
        return f"map {number}: never active"
    ends = [formatting.number(value, 2) for value in (values[0], *values[1:][-1:])]
    return f"map {number}: {' to '.join(ends)}"
