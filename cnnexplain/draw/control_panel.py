"""The panel with the map of the control, the network with shuffled weights, beside the picture of the real one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from cnnexplain.draw import captions, formatting, layout, maps, wording
from cnnexplain.draw.extending import extend, freeze
from cnnexplain.draw.map_values import max_limit, percentile_limit

if TYPE_CHECKING:
    from jaxtyping import Shaped
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from cnnexplain.plugin.analysis import Result
    from cnnexplain.results.record import Record

TITLE, ABOVE = "control: shuffled weights", 0.3
"""The title of the panel, and the inches above it that the title takes."""


@dataclass(frozen=True)
class _Drawing:
    """How a figure shows the main map: its panel, from which values, signed or not, and the limit of its color scale."""

    beside: Axes | None
    values: Callable[[Record, int], Shaped[np.ndarray, "H W"]]
    signed: bool
    limit: Callable[[Shaped[np.ndarray, "H W"]], float]


def as_record(record: Record, control: Result) -> Record:
    """The control of a record as a record of its own, only for drawing: it still names the model of the real network."""
    own = replace(record, arrays=control.arrays, facts=control.facts, control=None)
    return replace(own, analysis=replace(record.analysis, overview=None), warnings=(), verification=None)


def add_control(figure: Figure, record: Record, control: Record, index: int, correlation: float) -> None:
    """Adds a panel with the main map of the control on the right of a figure, drawn like the figure's own main map.

    Args:
        figure: The picture of image `index`, as the analysis draws it.
        record: The record.
        control: The record of the control.
        index: Index of the image.
        correlation: The rank correlation of the two maps.
    """
    freeze(figure)
    drawing = _drawing(figure, record, control, index)
    values = drawing.values(control, index)
    unit = wording.in_units(record, record.analysis.unit(_main(record), record.options))
    left, above, inches = figure.get_figwidth(), layout.HEADER_HEIGHT, layout.panel_size(record)
    if drawing.beside is not None:
        inches = layout.panel_inches(drawing.beside)
        above = (1 - drawing.beside.get_position(original=True).y1) * figure.get_figheight()
    more = max(0, ABOVE - above)
    extend(figure, right=inches[0] + layout.COLORBAR_WIDTH + layout.GAP, top=more)
    panel = layout.panel(figure, left - layout.GAP, above + more - layout.HEADER_HEIGHT, *inches)
    draw = maps.signed_map if drawing.signed else maps.unsigned_map
    draw(panel, values, unit, limit=drawing.limit(values))
    captions.title(panel, TITLE, room=inches[0] + layout.COLORBAR_WIDTH)
    words = f"rank correlation {formatting.correlation(correlation)}; its own color scale"
    captions.text_below(panel, words if values.any() else "zero everywhere")


def _main(record: Record) -> str:
    name = record.analysis.main_map(record.arrays)
    assert name is not None
    return name


def _map(record: Record, index: int) -> Shaped[np.ndarray, "H W"]:
    values: Shaped[np.ndarray, "H W"] = record.arrays[_main(record)][index]
    return values


def _overlay(record: Record, index: int) -> Shaped[np.ndarray, "H W"]:
    values = record.overlay(index)
    assert values is not None
    return values


def _largest(values: Shaped[np.ndarray, "H W"]) -> float:
    return max_limit(np.abs(values))


def _drawing(figure: Figure, record: Record, control: Record, index: int) -> _Drawing:
    """How the figure shows the main map, or the map prepared as an overlay; otherwise as pages do."""
    for values in (_map, _overlay):
        shown = values(record, index)
        for panel in figure.axes:
            for image in panel.images:
                if np.array_equal(np.asarray(image.get_array()), shown):
                    low, high = image.get_clim()
                    limit = _largest if high == _largest(shown) else percentile_limit
                    return _Drawing(panel, values, low < 0, limit)
    signed = bool((_map(record, index) < 0).any() or (_map(control, index) < 0).any())
    return _Drawing(figure.axes[0] if figure.axes else None, _map, signed, percentile_limit)
