"""A strip of the figure of intermediate outputs: what one layer takes of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnnexplain import draw as drawing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH = 9.6
"""The maximum width of a strip in inches."""

TICK_SIZE = 7.0
"""Font size of the numbers and names next to a panel."""

NEAR, FAR = 6.0, 15.0
"""Points between a title and its panel: the usual distance, and one that leaves room for the exponent of a color bar."""

CROSS = "0.4"
"""The gray of the mark of a dead map or unit, which no color scale contains."""


@dataclass(frozen=True)
class Strip:
    """A panel for a layer, or for a part of its maps.

    Args:
        title: Its title.
        width: Of the panel, in inches.
        height: Of the panel, in inches.
        paint: Draws into the panel.
        right: Inches to the right of the panel, for a color bar or names.
        pad: Points between the title and the panel.
    """

    title: str
    width: float
    height: float
    paint: Callable[[Axes], None]
    right: float = drawing.COLORBAR_WIDTH
    pad: float = NEAR

    @property
    def total_width(self) -> float:
        """The inches that the title needs, or the panel with the space to its right."""
        return max(drawing.text_width(self.title, drawing.TITLE_SIZE), self.width + self.right)
