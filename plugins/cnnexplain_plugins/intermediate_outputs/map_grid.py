"""A strip with a grid of a layer's feature maps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.collections import LineCollection, PolyCollection

from cnnexplain import draw as drawing
from cnnexplain_plugins.intermediate_outputs.strip import CROSS, FAR, NEAR, TICK_SIZE, WIDTH, Strip

if TYPE_CHECKING:
    from jaxtyping import Float
    from matplotlib.axes import Axes

SMALL, LARGE, PIXELS_PER_INCH, THIN = 0.6, 0.96, 130, 0.25
"""Inches of the longer side of a small and of a large map, if there is room, the maximum number of map pixels per inch, and
the minimum ratio of a map's shorter to its longer side."""

LABEL = 0.17
"""Inches below a map for its label."""

SPACING = 0.13
"""Minimum distance in inches between the numbers of a grid's rows."""

FRAME, DEAD, CROSSED = "0.6", "0.9", 0.15
"""The grays of the frame of a map and of a dead map, and the minimum side in inches of a dead map that is crossed out."""


def map_grid(
    layer: Float[np.ndarray, "F h w"],
    title: str,
    chosen: Sequence[int],
    max_height: float,
    *,
    dead: Sequence[int],
    scale: str,
    labels: Sequence[str] = (),
) -> Strip:
    """A strip of some of a layer's feature maps, row by row in the given order.

    All strips of a layer have the same scale.

    Args:
        layer: All feature maps of the layer.
        title: The title of the strip.
        chosen: The numbers of the maps shown.
        max_height: The maximum height of the strip, in inches.
        dead: The numbers of the dead maps, which are crossed out.
        scale: "shared" or "channel"; see the option of `run`.
        labels: A text below each map. Without labels, each row starts with the number of its first map.
    """
    maps = layer[list(chosen)]
    count, height, width = maps.shape
    # The width of the line that `tiles` leaves between two maps.
    line = drawing.tiles(maps[[0, 0]], 2).shape[1] - 2 * width
    columns, pixel_width, pixel_height = _layout(count, height, width, line, max_height, labeled=bool(labels))
    below = max(line, math.ceil(LABEL / pixel_height)) if labels else line
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
    # Includes the labels of the last row.
    sheet = np.full(
        (rows * (height + below) - (0 if labels else below), columns * (width + line) - line), np.nan, np.float32
    )
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
        # In a grid of a thousand small maps, crosses would hide everything else.
        if min(pixel_height * height, pixel_width * width) >= CROSSED:
            diagonals = corners[crossed][:, [[0, 2], [1, 3]]].reshape(-1, 2, 2)
            panel.add_collection(LineCollection(list(diagonals), colors=CROSS, linewidths=0.8), autolim=False)
        for cell, text in enumerate(labels):
            panel.text(
                (left[cell] + right[cell]) / 2,
                bottom[cell] + 0.02 / pixel_height,
                text,
                fontsize=TICK_SIZE,
                ha="center",
                va="top",
                parse_math=False,
            )
        for row in range(0, 0 if labels else rows, math.ceil(SPACING / (pixel_height * (height + below)))):
            panel.text(
                -0.06 / panel_width,
                row * (height + below) + (height - 1) / 2,
                str(chosen[row * columns]),
                transform=panel.get_yaxis_transform(),
                fontsize=TICK_SIZE,
                color=drawing.GRAY,
                ha="right",
                va="center",
            )

    panel_width, panel_height = (
        pixel * side for pixel, side in zip((pixel_width, pixel_height), sheet.shape[::-1], strict=True)
    )
    near = drawing.text_width(title, drawing.TITLE_SIZE) < panel_width
    return Strip(title, panel_width, panel_height, paint, pad=NEAR if near else FAR)


def _layout(
    count: int, height: int, width: int, line: int, max_height: float, *, labeled: bool = False
) -> tuple[int, float, float]:
    """How many of `count` maps go in a row, and the width and height of a map pixel in inches.

    Maps are as large as the room and the maximum size of a map allow. Among layouts of almost the same size, the one with
    the fewest rows is taken, filled as evenly as possible. Pixels are square except in long, thin maps, such as sequences.
    Labeled maps are large, with room below them.
    """
    longest = max(height, width)
    side = max(LARGE if labeled else SMALL, min(LARGE, 0.04 * longest), longest / PIXELS_PER_INCH)
    # The map's height and width as shares of its longer side.
    tall, wide = max(height / longest, THIN), max(width / longest, THIN)
    columns = np.arange(1, count + 1)
    rows = -(-count // columns)
    room = max_height - LABEL * rows * labeled
    across, down = wide * (columns + (columns - 1) * line / width), tall * (rows + (rows - 1) * line / height)
    sides = np.minimum(np.minimum(WIDTH / across, room / down), side)
    good = np.flatnonzero(sides >= 0.9 * sides.max())
    best = good[rows[good].argmin()]
    return int(columns[best]), float(sides[best] * wide / width), float(sides[best] * tall / height)
