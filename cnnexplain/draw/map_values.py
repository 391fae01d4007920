"""Preparing maps for display: limits of color scales, smoothing, enlarging, sums over regions, tiling."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cnnexplain.draw.style import current_style
from cnnexplain.numerics.baselines import gaussian
from cnnexplain.numerics.interpolation import bicubic

if TYPE_CHECKING:
    from jaxtyping import Float, Float32, Num, Shaped

LIMIT_PERCENTILE = 99.5
"""Percentile of the magnitudes at which `percentile_limit` ends a color scale."""

FINE = 48
"""Maps whose longer side is shorter than this are enlarged pixel by pixel, and attributions are not summed over regions."""

BLUR = 75
"""`smoothed` uses a standard deviation of the map's longer side divided by this."""

REGIONS = 14
"""By default, attributions are summed over squares; this is their number along the longer side of the image."""

LINE = 32
"""The line between tiled maps is the map's longer side divided by this, or 1 pixel."""


def max_limit(values: Num[np.ndarray, " ..."]) -> float:
    """The largest value, ignoring NaN, as the limit of a color scale; 1 for a map of zeros, so that it can be drawn."""
    return float(np.nanmax(values)) or 1.0


def percentile_limit(values: Num[np.ndarray, " ..."]) -> float:
    """The 99.5th percentile of the magnitudes, as the limit of a color scale for maps with outliers.

    Scaled to their maximum, such maps are dark except for a few pixels. The color bar states the share of pixels that are
    clipped. If nearly all values are 0, it is the largest magnitude.
    """
    magnitudes = np.abs(values)
    return float(np.nanpercentile(magnitudes, LIMIT_PERCENTILE)) or max_limit(magnitudes)


def smoothed(values: Float[np.ndarray, "H W"]) -> Float[np.ndarray, "H W"]:
    """A map after a Gaussian blur, for display; unchanged if the blur would be narrower than half a pixel.

    The standard deviation is max(H, W) / 75. At the border, weights outside the map are left out.
    """
    width = max(values.shape) / BLUR
    if width < 0.5:
        return values
    rows, columns = (gaussian(side, width) for side in values.shape)
    return np.asarray(rows @ values @ columns.T, np.float32)


def enlarged(values: Float[np.ndarray, "h w"], height: int, width: int) -> Float32[np.ndarray, "H W"]:
    """A coarse map resized to (height, width) with bicubic interpolation, clipped to its range, for display.

    Pixel centers are at half-integers. Linear interpolation would show ridges and crosses.
    """
    rows, columns = (bicubic(*sides) for sides in zip(values.shape, (height, width), strict=True))
    return np.asarray(np.clip(rows @ values @ columns.T, values.min(), values.max()), np.float32)


def region_side(values: Num[np.ndarray, "H W"]) -> int:
    """Side length of the squares over which attributions are summed: `Style.regions`, or a 14th of the longer side.

    It is 1 for images of fewer than 48 pixels per side, unless `Style.regions` is set.
    """
    side = max(values.shape)
    return current_style().regions or (side // REGIONS if side >= FINE else 1)


def region_sums(values: Num[np.ndarray, "H W"], side: int) -> Float32[np.ndarray, "H W"]:
    """A map in which each pixel has the sum over its square of `side` × `side` pixels, cut off at the border."""
    height, width = values.shape
    across = np.add.reduceat(np.add.reduceat(values, range(0, height, side), 0), range(0, width, side), 1)
    return np.asarray(across.repeat(side, 0).repeat(side, 1)[:height, :width], np.float32)


def readable(values: Float[np.ndarray, "H W"]) -> Float[np.ndarray, "H W"]:
    """A map of gradients for display: smoothed, or summed over regions if `Style.regions` is set.

    In photographs, gradients of neighboring pixels differ so much that only a local mean is readable over the image.
    """
    regions = current_style().regions
    return smoothed(values) if regions is None else region_sums(values, regions)


def tiles(maps: Shaped[np.ndarray, "K H W *C"], columns: int, gap: float = np.nan) -> Float32[np.ndarray, "rows columns *C"]:
    """Maps in one grid, row by row, separated by lines.

    Args:
        maps: The maps, with or without channels.
        columns: Maps per row.
        gap: Value of the lines and of empty tiles.

    Returns:
        The grid. Map k begins at row (k // columns) · (H + line) and column (k % columns) · (W + line), where
        line is max(H, W) // 32, at least 1.
    """
    count, height, width, *rest = maps.shape
    rows, line = -(-count // columns), max(1, max(height, width) // LINE)
    grid = np.full((rows, height + line, columns, width + line, *rest), gap, np.float32)
    for number, each in enumerate(maps):
        grid[number // columns, :height, number % columns, :width] = each
    return grid.reshape(rows * (height + line), columns * (width + line), *rest)[:-line, :-line]
