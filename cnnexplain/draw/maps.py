"""Panels with unsigned or signed maps and a color bar."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib.ticker import ScalarFormatter

from cnnexplain.draw import formatting
from cnnexplain.draw.layout import SMALL_SIZE
from cnnexplain.draw.map_values import max_limit, percentile_limit
from cnnexplain.draw.style import current_palette
from cnnexplain.draw.tickless import tickless_axes

if TYPE_CHECKING:
    from jaxtyping import Float32, Num
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable


def unsigned_map(
    panel: Axes,
    values: Num[np.ndarray, "H W"],
    unit: str,
    *,
    limit: float | None = None,
    start: float = 0.0,
    bar: bool = True,
) -> None:
    """Shows a map of values from `start` up.

    Args:
        panel: The panel.
        values: The map; NaN is transparent.
        unit: Unit of the values, for the color bar.
        limit: Upper end of the color scale; None for the largest value.
        start: Lower end of the color scale.
        bar: Whether to add a color bar.
    """
    limit = limit or max_limit(values)
    drawn = panel.imshow(values, vmin=start, vmax=limit, cmap=current_palette().unsigned, interpolation="nearest")
    if bar:
        colorbar(panel, drawn, unit, values, limit)


def signed_map(
    panel: Axes, values: Num[np.ndarray, "H W"], unit: str, *, limit: float | None = None, bar: bool = True
) -> None:
    """Shows a map of signed values on a color scale that is symmetric around zero, which is white.

    Args:
        panel: The panel.
        values: The map; NaN is transparent.
        unit: Unit of the values, for the color bar.
        limit: The color scale goes from −limit to limit; None for the largest magnitude.
        bar: Whether to add a color bar.
    """
    limit = limit or max_limit(np.abs(values))
    drawn = panel.imshow(values, vmin=-limit, vmax=limit, cmap=current_palette().signed, interpolation="nearest")
    if bar:
        colorbar(panel, drawn, unit, values, limit)


def map_rgb(values: Num[np.ndarray, "H W"]) -> Float32[np.ndarray, "H W 3"]:
    """A map as pixels from 0 to 1, on the color scale of a signed map if it has negative values; without outliers."""
    signed = bool((values < 0).any())
    limit = percentile_limit(values)
    shares = (values / limit + 1) / 2 if signed else values / limit
    name = current_palette().signed if signed else current_palette().unsigned
    return np.asarray(mpl.colormaps[name](np.clip(shares, 0, 1))[..., :3], np.float32)


def colorbar(panel: Axes, drawn: ScalarMappable, unit: str, values: Num[np.ndarray, " ..."], limit: float) -> None:
    """Adds a color bar next to a panel; if values exceed the limit, its ends are pointed and it states their share."""
    figure, place = panel.get_figure(root=True), panel.get_position(original=True)
    assert figure is not None
    inches = figure.get_figwidth()
    beyond = float((np.abs(values) > limit).sum() / np.isfinite(values).sum())
    ends = "both" if drawn.norm.vmin == -limit else "max"
    with tickless_axes(figure, (place.x1 + 0.07 / inches, place.y0, 0.12 / inches, place.height)) as axes:
        bar = figure.colorbar(drawn, cax=axes, extend=ends if beyond else "neither")
        bar.set_label(f"{unit}\n{formatting.probability(beyond)} clipped" if beyond else unit, fontsize=8)
        bar.ax.tick_params(labelsize=SMALL_SIZE)
        # Small values as 1.2 with 1e-4 above the bar: longer numbers would push the label into the next panel.
        if isinstance(bar.formatter, ScalarFormatter):
            bar.formatter.set_powerlimits((-2, 4))
            bar.update_ticks()
        bar.ax.yaxis.get_offset_text().set(size=SMALL_SIZE, ha="left")
        # Distance from the number at the end of the bar.
        bar.ax.yaxis.OFFSETTEXTPAD = 6
        bar.outline.set_visible(False)
        # It shows nothing, but Matplotlib would create its ticks.
        bar.ax.xaxis.set_visible(False)
