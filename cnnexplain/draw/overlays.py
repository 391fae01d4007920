"""Maps drawn over the image, with an opacity that grows with the magnitude."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize

from cnnexplain.draw.captions import title
from cnnexplain.draw.images import image_rgb
from cnnexplain.draw.map_values import FINE, max_limit, percentile_limit, readable, region_side, region_sums
from cnnexplain.draw.maps import colorbar
from cnnexplain.draw.style import current_palette, current_style

if TYPE_CHECKING:
    from jaxtyping import Float, Float32, Num
    from matplotlib.axes import Axes

    from cnnexplain.results.record import Record

OPAQUE, PALE, DARK = 0.9, 0.3, 0.2
"""Opacity of the strongest values over an image, and the shares of the signed colormap that are left out there."""

STRONGEST_SHARE = 0.1
"""The share of a map's pixels that a contour surrounds."""


def overlay_colormap(*, signed: bool = False) -> Float32[np.ndarray, "256 4"]:
    """The colors and opacities of maps over an image.

    With the limit L, a value v has the color of row ⌊256 · v / L⌋, or of row ⌊256 · (v / L + 1) / 2⌋ for a signed map;
    values beyond have that of the first or last row. With t = |v| / L in the middle of the row, the opacity is
    0.9 · t² (3 − 2 t): near zero, the image keeps its colors. The pale middle of a signed colormap, which would be a haze
    over the image, and its dark ends, which would be invisible over black, are left out.

    Args:
        signed: Whether the colormap is for a signed map.

    Returns:
        Red, green, blue and opacity from 0 to 1.
    """
    share = (np.arange(256) + 0.5) / 256
    strength = np.abs(2 * share - 1) if signed else share
    sides = 0.5 + np.sign(share - 0.5) / 2 * (PALE + (1 - DARK - PALE) * strength)
    name, places = (current_palette().signed, sides) if signed else (current_palette().unsigned, share)
    colors = np.asarray(mpl.colormaps[name](places), np.float32)
    colors[:, 3] = OPAQUE * strength**2 * (3 - 2 * strength)
    return colors


def overlay_rgb(
    record: Record, index: int, values: Num[np.ndarray, "H W"], *, limit: float | None = None, signed: bool = False
) -> Float32[np.ndarray, "H W 3"]:
    """A map over the image as pixels from 0 to 1: image · (1 − a) + color · a, where a is the color's opacity.

    Args:
        record: The record.
        index: Index of the image.
        values: The map, from 0 up, or signed.
        limit: The magnitude with the strongest color; None for the largest.
        signed: Whether the map is signed.
    """
    strength = values / (limit or max_limit(np.abs(values)))
    share = (strength + 1) / 2 if signed else strength
    colors = overlay_colormap(signed=signed)[np.clip(256 * share, 0, 255).astype(int)]
    opacity = colors[..., 3:]
    return np.asarray(image_rgb(record, record.images[index]) * (1 - opacity) + colors[..., :3] * opacity, np.float32)


def overlay(
    panel: Axes,
    record: Record,
    index: int,
    values: Num[np.ndarray, "H W"],
    *,
    limit: float | None = None,
    signed: bool = False,
    unit: str | None = None,
) -> None:
    """Shows a map over the image; the stronger the map, the less of the image is visible.

    Args:
        panel: The panel.
        record: The record.
        index: Index of the image.
        values: The map, from 0 up, or signed.
        limit: The magnitude with the strongest color; None for the largest.
        signed: Whether the map is signed.
        unit: Unit of the values, for a color bar; None for no color bar.
    """
    limit = limit or max_limit(np.abs(values))
    pixels = overlay_rgb(record, index, values, limit=limit, signed=signed)
    panel.imshow(pixels, interpolation="nearest" if max(values.shape) < FINE else "antialiased")
    if unit is not None:
        colors = current_palette().signed if signed else current_palette().unsigned
        colorbar(panel, ScalarMappable(Normalize(-limit if signed else 0, limit), colors), unit, values, limit)
    if current_style().contours:
        contour(panel, values)


def contour(panel: Axes, values: Num[np.ndarray, "H W"]) -> None:
    """Outlines the strongest tenth of a map's pixels, in white on black so that it is visible on any image."""
    magnitudes = np.abs(values)
    threshold = float(np.quantile(magnitudes, 1 - STRONGEST_SHARE))
    # A constant map has no strongest tenth, and Matplotlib finds no contour in a single row.
    if min(values.shape) > 1 and magnitudes.min() < threshold < magnitudes.max():
        panel.contour(magnitudes, [threshold], colors="black", linewidths=2.2)
        panel.contour(magnitudes, [threshold], colors="white", linewidths=1.0)


def smoothed_overlay(panel: Axes, record: Record, index: int, values: Float[np.ndarray, "H W"], what: str) -> None:
    """Shows a map of gradients over the image, prepared by `readable`, with a title that states how.

    Args:
        panel: The panel.
        record: The record.
        index: Index of the image.
        values: The map, from 0 up.
        what: Name of the map in the title, such as "saliency".
    """
    shown = readable(values)
    overlay(panel, record, index, shown, limit=percentile_limit(shown))
    if side := current_style().regions:
        title(panel, f"sums over {side}×{side} pixels")
    else:
        title(panel, f"{what} over input" if shown is values else f"smoothed {what} over input")


def regions_overlay(panel: Axes, record: Record, index: int, values: Float[np.ndarray, "H W"], what: str, unit: str) -> None:
    """Shows signed attributions over the image, summed over squares, with a color bar and a title that states it.

    Sums of attributions are attributions of regions, and neighboring pixels of a photograph often differ in sign.

    Args:
        panel: The panel.
        record: The record.
        index: Index of the image.
        values: The attributions.
        what: Name of the map in the title, such as "contributions".
        unit: Unit of the values, for the color bar.
    """
    side = region_side(values)
    sums = region_sums(values, side)
    overlay(panel, record, index, sums, limit=percentile_limit(sums), signed=True, unit=unit)
    title(panel, f"{what} over input" if side == 1 else f"sums over {side}×{side} pixels")
