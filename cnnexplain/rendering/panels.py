"""Encodes panels of small maps for pages, in a few kilobytes each; `arrays.npz` has the exact values."""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from cnnexplain import draw
from cnnexplain.draw import wording
from cnnexplain.numerics.interpolation import averaged
from cnnexplain.plugin.analysis import Panel
from cnnexplain.rendering.templates import data_uri

if TYPE_CHECKING:
    from jaxtyping import Float32, UInt8

    from cnnexplain.results.record import Record

LARGE, SMALL = 40, 20
"""Maximum side length of a map that is always visible, and of one in the section that can be opened."""

LEVELS = 63
"""Number of quantization steps."""


def encoded(record: Record, index: int) -> list[dict[str, Any]]:
    """The panels of image `index`, JSON-able; empty if the analysis has none.

    Maps of more than `LARGE` or `SMALL` pixels a side are averaged over blocks of pixels, and their values rounded to one of
    `LEVELS` + 1 steps from the smallest to the largest: "sprite" is a gray picture with the maps in row-major order,
    a byte for each value.

    Raises:
        PluginError: `Analysis.panels` failed or broke its contract.
    """
    return [_encoded(panel, record) for panel in record.panels(index)]


def _encoded(panel: Panel, record: Record) -> dict[str, Any]:
    maps = np.asarray(panel.maps, np.float32)
    visible = len(maps) if panel.shown is None else min(panel.shown, len(maps))
    groups = [_group(maps[:visible], LARGE)]
    if visible < len(maps):
        groups.append(_group(maps[visible:], SMALL))
    return {
        "title": panel.title,
        "unit": wording.in_units(record, panel.unit),
        "valueUnit": wording.in_units(record, panel.value_unit),
        "names": list(panel.names),
        "values": None if panel.values is None else [_rounded(value) for value in panel.values],
        "signed": bool((maps < 0).any()),
        "limit": _rounded(draw.percentile_limit(maps)),
        "height": maps.shape[1],
        "width": maps.shape[2],
        "field": None if panel.field is None else [list(axis) for axis in panel.field],
        "groups": groups,
    }


def _group(maps: Float32[np.ndarray, "K h w"], most: int) -> dict[str, Any]:
    """Maps of one size: their sprite and the range of each."""
    block = max(1, math.ceil(max(maps.shape[1:]) / most))
    maps = averaged(maps, block)
    low, high = maps.min(axis=(1, 2)), maps.max(axis=(1, 2))
    spread = np.where(high > low, high - low, 1)[:, None, None]
    steps = np.rint((maps - low[:, None, None]) / spread * LEVELS).astype(np.uint8)
    columns = math.ceil(math.sqrt(len(maps)))
    height, width = maps.shape[1:]
    sheet = np.zeros((-(-len(maps) // columns), height, columns, width), np.uint8)
    for number, each in enumerate(steps):
        sheet[number // columns, :, number % columns] = each
    return {
        "block": block,
        "height": height,
        "width": width,
        "columns": columns,
        "count": len(maps),
        "low": [_rounded(value) for value in low],
        "high": [_rounded(value) for value in high],
        "sprite": _picture(sheet.reshape(-1, columns * width)),
    }


def _picture(levels: UInt8[np.ndarray, "H W"]) -> str:
    """Bytes (H, W) as a lossless picture in a data URI."""
    buffer = io.BytesIO()
    Image.fromarray(levels).save(buffer, "WEBP", lossless=True, quality=100, method=6, exact=True)
    return data_uri(buffer.getvalue())


def _rounded(value: float) -> float:
    """Rounded to four significant digits, more than a page shows."""
    return float(f"{value:.4g}")
