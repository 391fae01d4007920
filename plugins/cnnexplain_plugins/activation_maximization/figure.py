"""The figure of activation maximization: a grid with the pictures of each unit, next to its strongest natural patches."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.patches import Rectangle

from cnnexplain import draw
from cnnexplain.draw import formatting, wording

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jaxtyping import Float, Float32, UInt8
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from cnnexplain import Record

SIDE, LARGE, MIN_WIDTH = 1.45, 2.2, 1.35
"""Inches: the longer side of a panel if there are many or few, and the minimum width, for the text below."""

ACROSS, NEAR, DOWN, FOOTER = 0.12, 0.05, 0.45, 0.15
"""Inches between panels, between a picture and its natural patches, between rows, and below the last row."""

LINE = 0.15
"""Inches of a line of text below a panel."""

FEW, COLUMNS, WIDE_COLUMNS = 3, 5, 3
"""Up to how many pictures are drawn large, and the minimum number of columns if there are more, without and with natural
patches next to them."""

PATCHES = 3
"""The maximum number of natural patches along each side of their block."""

OPAQUE, CONTRAST = 80, (1, 99)
"""The percentile of the opacity from which on pixels are fully opaque, and those between which a faded picture's contrast is
stretched."""


def grid(record: Record) -> Figure:
    """The pictures, each with its unit and its values. Black and white are the ends of the model's input range."""
    images, facts = record.arrays["optimum"], record.facts
    count, diversity = len(images), record.options["diversity"]
    patches = any(name.startswith("patch/") for name in record.arrays)
    columns = min(count, max(WIDE_COLUMNS if patches else COLUMNS, math.ceil(math.sqrt(count))))
    size = LARGE if count <= FEW or facts["view_value"][0] is not None else SIDE
    wide, tall = draw.panel_size(record, size)
    wide = max(wide, MIN_WIDTH)
    lines = [_value_lines(facts, index) for index in range(count)]
    text_height = LINE * max(map(len, lines))
    cell = wide + (NEAR + tall if patches else 0)
    across, down = cell + ACROSS, tall + DOWN + text_height
    rows, width = -(-count // columns), columns * across - ACROSS
    subheading = _subheading(record)
    # A few pictures may be narrower than the heading.
    full_width = max(width, draw.MIN_WIDTH, draw.text_width(subheading, draw.HEADING_SIZE))
    figure = draw.sheet(record, full_width, rows * down - DOWN + FOOTER)
    margin = (full_width - width) / 2
    for index, image in enumerate(images):
        left, top = margin + index % columns * across, index // columns * down
        panel = draw.panel(figure, left, top, wide, tall)
        if "opacity" in record.arrays:
            panel.imshow(_faded(record, image, record.arrays["opacity"][index]), interpolation="antialiased")
        else:
            draw.image_values(panel, record, image)
        _frame(panel)
        unit = draw.objective_name(record, facts["unit"][index])
        number = f" · {index % diversity + 1} of {diversity}" if diversity > 1 else ""
        draw.title(panel, unit + number, room=cell + draw.GAP, tail=record.options["layer"] is not None)
        draw.text_below(panel, "\n".join(lines[index]))
        natural = record.arrays.get(f"patch/{index // diversity}")
        if natural is not None:
            patch_panel = draw.panel(figure, left + wide + NEAR, top, tall, tall)
            patch_panel.imshow(
                _block(record.preprocess.picked(natural)), vmin=0, vmax=255, cmap="gray", interpolation="antialiased"
            )
    draw.heading(figure, _heading(record), subheading)
    return figure


def _frame(panel: Axes) -> None:
    # Without a frame, an image with a white background would have no visible border.
    frame = Rectangle((0, 0), 1, 1, transform=panel.transAxes, fill=False, edgecolor="0.6", linewidth=0.6, clip_on=False)
    panel.add_patch(frame)


def _faded(
    record: Record, image: Float32[np.ndarray, "H W C"], opacity: Float32[np.ndarray, "H W"]
) -> Float[np.ndarray, "H W 3"]:
    """The picture on white; the more a pixel mattered, the more opaque it is (Fel et al. 2023)."""
    u = draw.image_rgb(record, image)
    low, high = np.percentile(u, CONTRAST)
    alpha = np.minimum(opacity, np.percentile(opacity, OPAQUE))[..., None]
    alpha = alpha / draw.max_limit(alpha)
    clear = np.clip((u - low) / max(high - low, 1e-6), 0, 1)
    return np.asarray(np.broadcast_to(1 - alpha * (1 - clear), (*u.shape[:2], 3)))


def _block(patches: UInt8[np.ndarray, "N h w C"]) -> UInt8[np.ndarray, "H W C"]:
    """Patches in a square of up to `PATCHES` rows, with white gaps."""
    height, width = patches.shape[1:3]
    side = min(PATCHES, math.ceil(math.sqrt(len(patches))))
    gap = max(1, round(max(height, width) / 24))
    block = np.full((side * (height + gap) - gap, side * (width + gap) - gap, patches.shape[3]), 255, np.uint8)
    for index, patch in enumerate(patches):
        top, left = index // side * (height + gap), index % side * (width + gap)
        block[top : top + height, left : left + width] = patch
    return block


def _heading(record: Record) -> str:
    units = record.options["layer"] or f"the {wording.outputs(record.provenance['model'].get('head'))}"
    text = f"The images that activate {units} most"
    return text + (", and natural ones" if any(name.startswith("patch/") for name in record.arrays) else "")


def _subheading(record: Record) -> str:
    text = f"regularization {record.facts['regularization']['name']}, {record.facts['steps']} steps"
    if "opacity" in record.arrays:
        text += " · faded where it mattered little"
    if "dataset" not in record.provenance:
        return f"{text} · no data set to compare with"
    dataset = record.provenance["dataset"]
    count = dataset["images"] - len(dataset["skipped"])
    return f"{text} · best of {draw.shorten(dataset['name'], 24, tail=True)}, {count:,} image{'s' * (count != 1)}"


def _value_lines(facts: Mapping[str, Any], index: int) -> list[str]:
    """The lines below a picture: its values, the best value of the data set, the judge's ranks."""
    value, view, best = (facts[name][index] for name in ("value", "view_value", "best"))
    if facts["view_value"][0] is None:
        ratio = facts["ratio"][index]
        lines = [_number(value) + ("" if ratio is None or value is None else f" = {formatting.number(ratio)} × best")]
    else:
        lines = [f"{_number(view)} in unseen views · {_number(value)} whole"]
        lines += [] if best is None else [f"best natural {_number(best)}"]
    rank, crops = facts["judge_rank"][index], facts["judge_best_rank"][index]
    return lines if rank is None else [*lines, f"judge: rank {rank:,} whole, {crops:,} with crops"]


def _number(value: float | None) -> str:
    return "not finite" if value is None else formatting.number(value)
