"""The drawing of activation maximization: a grid with the pictures of each unit, beside what excites it in a data set."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.patches import Rectangle

from cnnexplain import draw
from cnnexplain.draw import formatting, wording

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from cnnexplain import Array, Floats, Record

SIDE, LARGE, WORDS = 1.45, 2.2, 1.35
"""Inches of a panel's longer side among many and among few, and the width that its words need at least."""

ACROSS, NEAR, DOWN, UNDER = 0.12, 0.05, 0.45, 0.15
"""Inches between panels, between a picture and its natural patches, between rows of them, and under the last row."""

LINE = 0.15
"""Inches of a line of numbers under a panel."""

FEW, COLUMNS, WIDE_COLUMNS = 3, 5, 3
"""How many pictures have room to be large, and how many go in a row at least where there are more than that, alone and with
natural patches beside them."""

PATCHES = 3
"""How many natural patches lie along each side of their block, at most."""

OPAQUE, CONTRAST = 80, (1, 99)
"""The percentile of the opacity above which all is as opaque, and those between which a faded picture's contrast lies."""


def grid(record: Record) -> Figure:
    """The pictures, black and white being the ends of the model's input range, each with its unit and its values."""
    images, facts = record.arrays["optimum"], record.facts
    count, diversity = len(images), record.options["diversity"]
    patches = any(name.startswith("patch/") for name in record.arrays)
    columns = min(count, max(WIDE_COLUMNS if patches else COLUMNS, math.ceil(math.sqrt(count))))
    size = LARGE if count <= FEW or facts["view_value"][0] is not None else SIDE
    wide, tall = draw.panel_size(record, size)
    wide = max(wide, WORDS)
    lines = [_words(facts, index) for index in range(count)]
    words = LINE * max(map(len, lines))
    cell = wide + (NEAR + tall if patches else 0)
    across, down = cell + ACROSS, tall + DOWN + words
    rows, width = -(-count // columns), columns * across - ACROSS
    figure = draw.sheet(record, width, rows * down - DOWN + UNDER)
    margin = max(draw.MIN_WIDTH - width, 0) / 2
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
            beside = draw.panel(figure, left + wide + NEAR, top, tall, tall)
            beside.imshow(
                _block(record.preprocess.picked(natural)), vmin=0, vmax=255, cmap="gray", interpolation="antialiased"
            )
    draw.heading(figure, _heading(record), _reference(record))
    return figure


def _frame(panel: Axes) -> None:
    # Without a frame an image with a white ground would have no end.
    frame = Rectangle((0, 0), 1, 1, transform=panel.transAxes, fill=False, edgecolor="0.6", linewidth=0.6, clip_on=False)
    panel.add_patch(frame)


def _faded(record: Record, image: Floats, opacity: Floats) -> Floats:
    """The picture before white, as opaque as each pixel mattered (Fel et al. 2023)."""
    u = draw.image_rgb(record, image)
    low, high = np.percentile(u, CONTRAST)
    alpha = np.minimum(opacity, np.percentile(opacity, OPAQUE))[..., None]
    alpha = alpha / draw.max_limit(alpha)
    clear = np.clip((u - low) / max(high - low, 1e-6), 0, 1)
    return np.asarray(np.broadcast_to(1 - alpha * (1 - clear), (*u.shape[:2], 3)))


def _block(patches: Array) -> Array:
    """Patches (N, h, w, C) in a square of up to `PATCHES` rows, white where there are fewer and between them."""
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
    words = f"The images that excite {units} the most"
    return words + (", and natural ones" if any(name.startswith("patch/") for name in record.arrays) else "")


def _reference(record: Record) -> str:
    words = f"regularization {record.facts['regularization']['name']}, {record.facts['steps']} steps"
    if "opacity" in record.arrays:
        words += " · faded where it mattered little"
    if "dataset" not in record.provenance:
        return f"{words} · no data set to compare with"
    dataset = record.provenance["dataset"]
    count = dataset["images"] - len(dataset["skipped"])
    return f"{words} · best: of {draw.shorten(dataset['name'], 24, tail=True)}, {count:,} image{'s' * (count != 1)}"


def _words(facts: Mapping[str, Any], index: int) -> list[str]:
    """The lines under a picture: its values, the data set's best one, the judge's ranks."""
    value, view, best = (facts[name][index] for name in ("value", "view_value", "best"))
    if facts["view_value"][0] is None:
        ratio = facts["ratio"][index]
        found = [_number(value) + ("" if ratio is None or value is None else f" = {formatting.number(ratio)} × best")]
    else:
        found = [f"{_number(view)} in unseen views · {_number(value)} whole"]
        found += [] if best is None else [f"best natural {_number(best)}"]
    rank, crops = facts["judge_rank"][index], facts["judge_best_rank"][index]
    return found if rank is None else [*found, f"judge: rank {rank:,} whole, {crops:,} with crops"]


def _number(value: float | None) -> str:
    return "not finite" if value is None else formatting.number(value)
