"""The drawing of activation maximization: a grid with the image of each unit."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from matplotlib.patches import Rectangle

from cnnexplain import draw

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from cnnexplain.record import Record

SIDE, LARGE, WORDS = 1.45, 2.2, 1.35
"""Inches of a panel's longer side among many and among few, and the width that its words need at least."""

ACROSS, DOWN, UNDER = 0.12, 0.6, 0.3
"""Inches between panels, between rows of them, and under the last row for its numbers."""

FEW, COLUMNS = 3, 5
"""How many panels have room to be large, and how many go in a row at least where there are more than that."""


def grid(record: Record) -> Figure:
    """The images, black and white being the ends of the model's input range, each with its unit and its value."""
    images, facts = record.arrays["optimum"], record.facts
    count = len(images)
    columns = min(count, max(COLUMNS, math.ceil(math.sqrt(count))))
    wide, tall = draw.panel_size(record, LARGE if count <= FEW else SIDE)
    wide = max(wide, WORDS)
    across, down = wide + ACROSS, tall + DOWN
    rows, width = -(-count // columns), columns * across - ACROSS
    figure = draw.sheet(record, width, rows * down - DOWN + UNDER)
    margin = max(draw.CAPTION - width, 0) / 2
    for index, image in enumerate(images):
        panel = draw.panel(figure, margin + index % columns * across, index // columns * down, wide, tall)
        draw.picture(panel, record, image)
        # Without a frame an image with a white ground would have no end.
        frame = Rectangle((0, 0), 1, 1, transform=panel.transAxes, fill=False, edgecolor="0.6", linewidth=0.6, clip_on=False)
        panel.add_patch(frame)
        draw.title(panel, draw.named(record, facts["unit"][index]), tail=record.options["layer"] is not None)
        draw.below(panel, _words(facts["value"][index], facts["ratio"][index]))
    draw.heading(figure, _heading(record), _reference(record))
    return figure


def _heading(record: Record) -> str:
    layer = record.options["layer"]
    return f"The images that excite {'the classes' if layer is None else layer} the most"


def _reference(record: Record) -> str:
    words = f"regularization {record.options['regularization']}"
    if "dataset" not in record.provenance:
        return f"{words} · no data set to compare with"
    dataset = record.provenance["dataset"]
    count = dataset["images"] - len(dataset["skipped"])
    return f"{words} · best: of {draw.shorten(dataset['name'], 24, tail=True)}, {count:,} image{'s' * (count != 1)}"


def _words(value: float | None, ratio: float | None) -> str:
    if value is None:
        return "not finite"
    words = f"{value:.3g}" if ratio is None else f"{value:.3g} = {ratio:.3g} × best"
    return words.replace("-", "−")
