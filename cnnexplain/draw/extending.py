"""Adding to a finished figure of a plugin: making it larger while its parts keep their sizes and places in inches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.transforms import Bbox

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def extend(figure: Figure, *, right: float = 0.0, top: float = 0.0) -> None:
    """Adds empty space to a figure. Its panels, texts and legends keep their places; a text in the middle stays there.

    Args:
        figure: The figure.
        right: Inches to add on the right.
        top: Inches to add at the top.
    """
    freeze(figure)
    width, height = figure.get_size_inches()
    across, up = width / (width + right), height / (height + top)
    for axes in figure.axes:
        place = axes.get_position(original=True)
        axes.set_position((across * place.x0, up * place.y0, across * place.width, up * place.height))
    for text in figure.texts:
        x, y = text.get_position()
        centered = x == 0.5 and text.get_horizontalalignment() == "center"
        text.set_position((x if centered else across * x, up * y))
    for legend in figure.legends:
        # The place of its anchor in inches, which does not depend on the size of the figure.
        anchor = legend.get_bbox_to_anchor().get_points() / figure.dpi
        legend.set_bbox_to_anchor(Bbox(anchor), figure.dpi_scale_trans)
    figure.set_size_inches(width + right, height + top)


def freeze(figure: Figure) -> None:
    """Lets the layout engine of a figure, if it has one, place the panels for the last time."""
    if figure.get_layout_engine() is not None:
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
