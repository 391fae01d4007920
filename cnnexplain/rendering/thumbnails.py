"""Small pictures of images with what was found over them, on sheets: what the page of a result's folder shows."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from cnnexplain import draw

if TYPE_CHECKING:
    from cnnexplain.results.record import Record

SIDE = 128
"""Pixels that a picture's longer side has at most; smaller images stay as they are."""

EACH = 256
"""How many pictures are on a sheet at most, which a browser has in memory as a whole."""

SHARP = 64
"""Sheets of pictures of fewer pixels a side are written without loss."""


def write(record: Record, folder: Path, stem: str) -> dict[str, Any]:
    """Writes the sheets of a record as WebP.

    Args:
        record: Which.
        folder: Where to.
        stem: How the files are called: `stem.webp`, and where there are more sheets `stem-2.webp` and so on.

    Returns:
        JSON-able: the names of the files in "files", the "height" and "width" of a picture in pixels, and how many "columns"
        the sheets have at most. Image i is on sheet ⌊i / EACH⌋ at place i mod EACH, along the rows.

    Raises:
        PluginError: The analysis can't give what is laid over an image.
    """
    height, width = _size(record)
    columns = math.ceil(math.sqrt(min(len(record), EACH)))
    names = []
    for number, start in enumerate(range(0, len(record), EACH), start=1):
        places = range(start, min(start + EACH, len(record)))
        sheet = Image.new("RGB", (columns * width, -(-len(places) // columns) * height))
        for place, picture in enumerate(_pictures(record, places, (width, height))):
            sheet.paste(picture, (place % columns * width, place // columns * height))
        names.append(f"{stem}.webp" if number == 1 else f"{stem}-{number}.webp")
        how: dict[str, Any] = {"lossless": True} if max(height, width) < SHARP else {"quality": 78}
        sheet.save(folder / names[-1], "WEBP", method=2, **how)
    return {"files": names, "height": height, "width": width, "columns": columns}


def _size(record: Record) -> tuple[int, int]:
    height, width = record.preprocess.shape[:2]
    share = min(1, SIDE / max(height, width))
    return max(1, round(share * height)), max(1, round(share * width))


def _pictures(record: Record, places: range, size: tuple[int, int]) -> Iterator[Image.Image]:
    name = next((name for name in record.analysis.maps if name in record.arrays), None)
    signed = name is not None and bool((record.arrays[name] < 0).any())
    for place in places:
        values = record.overlay(place)
        if values is None:
            shown = draw.image_rgb(record, record.images[place])
            pixels = np.broadcast_to(shown, (*shown.shape[:2], 3))
        else:
            pixels = draw.overlay_rgb(record, place, values, limit=draw.percentile_limit(values), signed=signed)
        picture = Image.fromarray(np.round(255 * np.nan_to_num(pixels)).astype(np.uint8))
        yield picture if picture.size == size else picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=2)
