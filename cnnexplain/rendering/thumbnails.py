"""Thumbnails of images with their maps, many on a sheet, for the index page of a result."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from cnnexplain import draw

if TYPE_CHECKING:
    from cnnexplain.results.record import Record

SIDE = 128
"""Pixels of a thumbnail's longer side at most; smaller images are not enlarged."""

EACH = 256
"""Thumbnails per sheet at most, since a browser keeps the whole sheet in memory."""

SHARP = 64
"""Sheets of thumbnails with a shorter longer side are compressed losslessly."""


def layout(record: Record) -> dict[str, int]:
    """The "height" and "width" of a thumbnail in pixels, and how many "columns" the sheets have at most.

    Image i is on sheet i // `EACH`, at place i % `EACH` in row-major order.
    """
    width, height = _size(record)
    return {"height": height, "width": width, "columns": _columns(record)}


def sheets(record: Record) -> Iterator[bytes]:
    """The sheets of thumbnails of a record as WebP.

    Raises:
        PluginError: `Analysis.overlay` failed.
    """
    width, height = _size(record)
    columns = _columns(record)
    quality: dict[str, Any] = {"lossless": True} if max(height, width) < SHARP else {"quality": 78}
    for start in range(0, len(record), EACH):
        indices = range(start, min(start + EACH, len(record)))
        sheet = Image.new("RGB", (columns * width, -(-len(indices) // columns) * height))
        for number, picture in enumerate(_thumbnails(record, indices, (width, height))):
            sheet.paste(picture, (number % columns * width, number // columns * height))
        buffer = io.BytesIO()
        sheet.save(buffer, "WEBP", method=2, **quality)
        yield buffer.getvalue()


def _columns(record: Record) -> int:
    return math.ceil(math.sqrt(min(len(record), EACH)))


def _size(record: Record) -> tuple[int, int]:
    """Width and height of a thumbnail."""
    height, width = record.preprocess.shape[:2]
    share = min(1, SIDE / max(height, width))
    return max(1, round(share * width)), max(1, round(share * height))


def _thumbnails(record: Record, indices: range, size: tuple[int, int]) -> Iterator[Image.Image]:
    name = record.analysis.main_map(record.arrays)
    signed = name is not None and bool((record.arrays[name] < 0).any())
    for index in indices:
        values = record.overlay(index)
        if values is None:
            rgb = draw.image_rgb(record, record.images[index])
            pixels = np.broadcast_to(rgb, (*rgb.shape[:2], 3))
        else:
            pixels = draw.overlay_rgb(record, index, values, limit=draw.percentile_limit(values), signed=signed)
        picture = Image.fromarray(np.round(255 * np.nan_to_num(pixels)).astype(np.uint8))
        yield picture if picture.size == size else picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=2)
