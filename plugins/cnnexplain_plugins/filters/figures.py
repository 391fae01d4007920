"""The figures of kernels: as templates of the image, individually with their patches, and as norms by input channel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from cnnexplain import draw
from cnnexplain.draw import formatting

if TYPE_CHECKING:
    from jaxtyping import Float, Float32
    from matplotlib.axes import Axes

    from cnnexplain import Record

WIDTH, TILE, MAX_HEIGHT, MIN_SIDE = 10.2, 0.92, 3.6, 1.6
"""Inches: maximum width of a figure, side of a kernel, maximum height of a heat map and minimum of its sides."""

MANY = 1000
"""From this number of weights or norms on, the color scale clips the few largest."""

LABEL, TITLE = 0.22, 0.5
"""Inches above a kernel, for its label, and above a section."""

TEMPLATES, LARGE = 6, 1.55
"""The number of kernels shown as templates, and the side of each of their panels in inches."""

COLUMNS, LINE = 2, 0.5
"""Patches in a row of a mosaic, and the gray of the lines between them."""

FINE = 48
"""Patches with fewer pixels per side are enlarged pixel by pixel."""

FRAME, VISIBLE = "#e69f00", 0.04
"""The color of the frame around a patch in its image, and its minimum side as a share of the image's."""


def figures(record: Record) -> dict[str, Figure]:
    """A figure of each layer shown, and for the first layer one of its kernels as templates, by name."""
    rows = {row["name"]: row for row in record.facts["layers"]}
    figures: dict[str, Figure] = {}
    for name in record.facts["shown"]:
        if f"response/{name}" in record.arrays:
            figures[f"templates-{name}".replace("/", "-")] = _templates(record, name)
        figures[f"kernels-{name}".replace("/", "-")] = _layer(record, rows[name])
    return figures


def _templates(record: Record, name: str) -> Figure:
    """A row for each of some kernels: the image with the best patch framed, the kernel, the patch, and all responses."""
    shown, strongest = record.facts["shown"][name], record.facts["strongest"][name]
    kernel, responses = record.arrays[f"kernel/{name}"], record.arrays[f"response/{name}"]
    order = _diverse(kernel[..., shown], TEMPLATES)
    limit = draw.max_limit(np.abs(kernel[..., shown]))
    wide, tall = draw.panel_size(record, LARGE)
    gap = 0.35
    lefts = [0, wide + gap, wide + LARGE + 2 * gap, wide + 2 * (LARGE + gap) + gap]
    figure = draw.sheet(record, lefts[-1] + wide + draw.COLORBAR_WIDTH, len(order) * (tall + TITLE) - TITLE)
    for row, place in enumerate(order):
        best = strongest[place]["patches"][0]
        panels = [
            draw.panel(figure, left, row * (tall + TITLE), width, tall)
            for left, width in zip(lefts, (wide, LARGE, LARGE, wide), strict=True)
        ]
        draw.image_values(panels[0], record, record.arrays[f"image/{name}"][place])
        places = zip(record.facts["field"][name], (best["row"], best["column"]), strict=True)
        middles = [start + unit * step + (size - 1) / 2 for (start, step, size), unit in places]
        min_side = VISIBLE * max(record.preprocess.shape)
        _frame(panels[0], middles, [max(size, min_side) for _, _, size in record.facts["field"][name]])
        draw.title(panels[0], draw.source_name(best["image"]), tail=True)
        panels[1].imshow(_signal(record, kernel[..., shown[place]], limit), interpolation="nearest")
        draw.title(panels[1], f"kernel {shown[place]}")
        draw.image_values(panels[2], record, record.arrays[f"patch/{name}"][place, 0])
        draw.title(panels[2], f"best patch: {formatting.number(best['response'], 2)}")
        draw.signed_map(panels[3], responses[place], "response")
        _frame(panels[3], [best["row"], best["column"]], [max(1, VISIBLE * max(responses.shape[1:]))] * 2)
        draw.title(panels[3], "response map")
    draw.heading(
        figure,
        f"{name}: kernels as templates",
        f"each with the image in {_dataset(record)} that it matches best; kernels to ± {formatting.number(limit, 2)}",
    )
    return figure


def _layer(record: Record, row: Mapping[str, Any]) -> Figure:
    """A layer's kernels, as pictures or as norms, with the patches that they match best."""
    name = row["name"]
    kernel, shown = record.arrays[f"kernel/{name}"], record.facts["shown"][name]
    patches = record.arrays.get(f"patch/{name}")
    # A kernel over one channel or over the colors of the image can be drawn as a picture, unless it is a single number.
    pictured = (row["channels"] == 1 or row["of_image"]) and kernel[..., 0, 0].size > 1
    side = TILE * (1 + pictured * (patches is not None))
    block = side + 0.24
    columns = max(1, min(len(shown), int(WIDTH / block)))
    tiles = pictured or patches is not None
    rows = -(-len(shown) // columns) * tiles
    across, down = (0.0, 0.0) if pictured else _heat_map_size(record.arrays[f"norm/{name}"])
    top = 0 if pictured else down + 1.5 * TITLE * tiles
    height = top + rows * (TILE + LABEL) - LABEL * tiles
    figure = draw.sheet(record, max(columns * block if tiles else 0, across + draw.COLORBAR_WIDTH + 0.5), height + 0.1)
    if not pictured:
        _heat_map(draw.panel(figure, 0.5, 0, across, down), kernel, record.arrays[f"norm/{name}"])
    limit = draw.max_limit(np.abs(kernel[..., shown]))
    for number, k in enumerate(shown):
        if not tiles:
            break
        x, y = number % columns * block, top + number // columns * (TILE + LABEL)
        panel = draw.panel(figure, x, y, TILE, TILE)
        if pictured:
            panel.imshow(_signal(record, kernel[..., k], limit), interpolation="nearest")
            _thin_frame(panel)
        _label(panel, row, record, number, side)
        # All patches match a dead kernel equally well.
        if patches is not None and k not in record.facts["dead"].get(name, []):
            _mosaic(panel if not pictured else draw.panel(figure, x + TILE + 0.05, y, TILE, TILE), record, patches[number])
    draw.heading(figure, _counts(row), _subheading(record, row, len(shown), limit if pictured else None))
    return figure


def _heat_map_size(norms: Float32[np.ndarray, "O I"]) -> tuple[float, float]:
    """Width and height of a heat map in inches, with cells that are as square as there is room."""
    outputs, inputs = norms.shape
    cell = min(0.16, (WIDTH - MIN_SIDE) / inputs, MAX_HEIGHT / outputs)
    return max(inputs * cell, MIN_SIDE), max(outputs * cell, MIN_SIDE)


def _heat_map(panel: Axes, kernel: Float32[np.ndarray, "h w I O"], norms: Float32[np.ndarray, "O I"]) -> None:
    """Draws the weights of 1×1 kernels, or the norms of others: a row for each kernel, a column for each input channel."""
    limit = draw.percentile_limit if norms.size >= MANY else draw.max_limit
    if kernel[..., 0, 0].size == 1:
        draw.signed_map(panel, kernel[0, 0].T, "weight", limit=limit(np.abs(kernel)))
        draw.title(panel, "weights: kernels × input channels", side="left", room=WIDTH)
    else:
        draw.unsigned_map(panel, norms, "norm", limit=limit(norms))
        draw.title(panel, "norms: kernels × input channels", side="left", room=WIDTH)
    panel.set_aspect("auto")
    panel.set_axis_on()
    panel.spines[:].set_visible(False)
    for axis, count in ((panel.xaxis, norms.shape[1]), (panel.yaxis, norms.shape[0])):
        axis.set_ticks(sorted({0, count // 2, count - 1}))
    panel.tick_params(length=2, labelsize=draw.SMALL_SIZE, labelcolor=draw.GRAY, color=draw.GRAY)


def _label(panel: Axes, row: Mapping[str, Any], record: Record, number: int, room: float) -> None:
    """Labels a kernel with its number and its largest response or its norm, or that it is dead."""
    name, k = row["name"], record.facts["shown"][row["name"]][number]
    norm = float(np.linalg.norm(record.arrays[f"norm/{name}"][k]))
    repeated = dict(record.facts["duplicates"].get(name, []))
    text = f"{k}: norm {formatting.number(norm, 2)}"
    if k in record.facts["dead"].get(name, []):
        text = f"{k}: dead"
    elif k in record.facts["never_active"].get(name, []):
        text = f"{k}: never active"
    elif k in repeated:
        text = f"{k}: like {repeated[k]}"
    elif "strongest" in record.facts and name in record.facts["strongest"]:
        text = f"{k}: {formatting.number(record.facts['strongest'][name][number]['patches'][0]['response'], 2)}"
        text += f", norm {formatting.number(norm, 2)}" if room > TILE else ""
    panel.set_title(
        draw.fit_text(text, room + 0.2, draw.SMALL_SIZE), fontsize=draw.SMALL_SIZE, loc="left", y=1, pad=3, parse_math=False
    )


def _mosaic(panel: Axes, record: Record, patches: Float32[np.ndarray, "P h w C"]) -> None:
    pictures = draw.image_rgb(record, patches)
    if pictures.shape[-1] == 1:
        pictures = np.repeat(pictures, 3, axis=-1)
    interpolation = "nearest" if max(pictures.shape[1:3]) < FINE else "antialiased"
    # Enlarged, so that the lines between small patches are thinner than one of their pixels.
    times = -(-FINE // max(pictures.shape[1:3]))
    pictures = pictures.repeat(times, axis=1).repeat(times, axis=2)
    tiled = draw.tiles(pictures, COLUMNS)
    panel.imshow(np.where(np.isnan(tiled), to_rgb(str(LINE)), tiled), interpolation=interpolation)
    _thin_frame(panel)


def _thin_frame(panel: Axes) -> None:
    """Draws a thin frame, without which a white kernel or patch would have no visible border."""
    x, y = panel.get_xlim(), panel.get_ylim()
    corner, size = (x[0], y[1]), (x[1] - x[0], y[0] - y[1])
    panel.add_patch(Rectangle(corner, *size, fill=False, edgecolor=str(LINE), linewidth=0.5, clip_on=False))


def _frame(panel: Axes, middles: Sequence[float], sides: Sequence[float]) -> None:
    """Draws a frame, given its middle (row, column) and its height and width."""
    corner = middles[1] - sides[1] / 2, middles[0] - sides[0] / 2
    panel.add_patch(Rectangle(corner, sides[1], sides[0], fill=False, edgecolor=FRAME, linewidth=1.5, clip_on=False))


def _signal(record: Record, kernel: Float32[np.ndarray, "h w I"], limit: float) -> Float[np.ndarray, "h w 3"]:
    """The colors of a kernel: one channel in red and blue, three in RGB, with zero in the middle."""
    return draw.signed_rgb(
        draw.display_channels(record, kernel) if kernel.shape[-1] == record.preprocess.channels else kernel, limit
    )


def _diverse(kernel: Float32[np.ndarray, "h w I O"], count: int) -> list[int]:
    """The indices of diverse kernels: the largest one, followed by those that are least similar to the ones before."""
    flat = kernel.reshape(-1, kernel.shape[-1]).T
    sizes = np.linalg.norm(flat, axis=1)
    unit = flat / np.where(sizes == 0, 1, sizes)[:, None]
    # Small kernels are noise.
    similarity = np.where(sizes >= np.median(sizes), -1.0, 2.0)
    chosen = [int(sizes.argmax())]
    while len(chosen) < min(count, int((similarity < 2).sum())):
        similarity = np.maximum(similarity, unit @ unit[chosen[-1]])
        chosen.append(int(similarity.argmin()))
    return chosen


def _counts(row: Mapping[str, Any]) -> str:
    over = f"over {row['channels']} channel{'s' if row['channels'] > 1 else ''}"
    if row["groups"] > 1:
        over = "of one channel each" if row["channels"] == 1 else f"{over} in {row['groups']} groups"
    never_active = "" if row["never_active"] is None else f" · {row['never_active']} never active"
    return (
        f"{row['name']} ({row['kind']}) · {row['kernels']} kernels {row['kernel']} {over} · "
        f"{row['dead']} dead{never_active} · {row['duplicates']} duplicates"
    )


def _subheading(record: Record, row: Mapping[str, Any], count: int, limit: float | None) -> str:
    """Which kernels are shown, on what scale, and next to which patches."""
    parts = [f"the {count} with the largest norms"] if count < row["kernels"] else []
    parts += [] if limit is None else [f"weights to ± {formatting.number(limit, 2)}"]
    if f"patch/{row['name']}" in record.arrays:
        parts.append(f"with the patches in {_dataset(record)} that they match best")
    return ", ".join(parts)


def _dataset(record: Record) -> str:
    return draw.shorten(str(record.provenance["dataset"]["name"]), 40, tail=True)
