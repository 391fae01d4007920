"""Checks of what the functions of an analysis return for a record: figures, overlays, panels.

Each check takes the start of an error message, which names the plugin and the function.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cnnexplain.errors import PluginError, line, shown
from cnnexplain.plugin.analysis import Panel

if TYPE_CHECKING:
    from jaxtyping import Shaped
    from matplotlib.figure import Figure

INCHES = 500
"""Maximum side length of a figure."""


def checked_figure(function: str, figure: object) -> Figure:
    """A figure that `draw` or `overview` has returned, labeled.

    Raises:
        PluginError: It is something else, or too large.
    """
    from matplotlib.figure import Figure

    if not isinstance(figure, Figure):
        raise PluginError(f"{function} returned {shown(figure)}; expected a Matplotlib figure.")
    width, height = map(float, figure.get_size_inches())
    if not all(0 < side <= INCHES for side in (width, height)):
        raise PluginError(
            f"{function} returned a figure of {width:.3g} × {height:.3g} inches; expected at most {INCHES} a side."
        )
    # The label identifies the plugin if the figure can't be written.
    figure.set_label(f"A figure of {function}")
    return figure


def checked_overlay(function: str, values: object, shape: tuple[int, ...]) -> Shaped[np.ndarray, "H W"]:
    """A map (H, W) that `overlay` has returned.

    Raises:
        PluginError: It is something else.
    """
    # Nothing is converted to an array: range(10**9) would take 8 GB.
    if (
        isinstance(values, np.ndarray)
        and values.shape == shape
        and values.dtype.kind in "biuf"
        and np.isfinite(values).all()
    ):
        return values
    description = f"{line(values.dtype)} of shape {values.shape}" if isinstance(values, np.ndarray) else shown(values)
    raise PluginError(f"{function} returned {description}; expected an array of finite real numbers of shape {shape}.")


def checked_panels(function: str, panels: object) -> list[Panel]:
    """The panels that `panels` has returned.

    Raises:
        PluginError: They are something else, or do not match their names and values.
    """
    if not isinstance(panels, list | tuple) or not all(isinstance(each, Panel) for each in panels):
        raise PluginError(f"{function} returned {shown(panels)}; expected a list of Panel objects.")
    for panel in panels:
        maps, count = panel.maps, len(panel.names)
        if not isinstance(maps, np.ndarray):
            raise PluginError(
                f"{function} returned {shown(maps)} as maps of {shown(panel.title)}; expected an array (K, h, w) of finite "
                "numbers."
            )
        values = count if panel.values is None else len(panel.values)
        if maps.ndim != 3 or not maps.size or len(maps) != count or values != count or not np.isfinite(maps).all():
            raise PluginError(
                f"{function} returned {count} names and {values} values for maps of shape {maps.shape} in "
                f"{shown(panel.title)}; expected maps (K, h, w) of finite numbers, with one name and value each."
            )
    return list(panels)
