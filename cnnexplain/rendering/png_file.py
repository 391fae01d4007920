"""Encodes pixels as PNG, several times faster than Pillow for the same size."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import UInt8

SIGNATURE = b"\x89PNG\r\n\x1a\n"

UP, COLOR_TYPES = 2, {3: 2, 4: 6}
"""From the PNG specification: the filter that subtracts the row above, and the color type by the number of channels."""

LEVEL = 1
"""The compression level. Higher levels take several times longer and save a tenth of the bytes."""


BAND = 256
"""Rows that are encoded at a time, because a picture may take half of the memory."""


def encoded(pixels: UInt8[np.ndarray, "H W C"], dpi: int) -> bytes:
    """An RGB or RGBA image as PNG.

    Pillow tries five filters for each row. In pictures with text and enlarged pixels, most rows equal the row above.
    """
    height, width, channels = pixels.shape
    per_meter = round(dpi / 0.0254)
    compressor = zlib.compressobj(LEVEL)
    compressed = [*(compressor.compress(band.data) for band in _filtered(pixels)), compressor.flush()]
    chunks = {
        b"IHDR": struct.pack(">IIBBBBB", width, height, 8, COLOR_TYPES[channels], 0, 0, 0),
        b"pHYs": struct.pack(">IIB", per_meter, per_meter, 1),
        b"IDAT": b"".join(compressed),
        b"IEND": b"",
    }
    return SIGNATURE + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(data, zlib.crc32(name)))
        for name, data in chunks.items()
    )


def _filtered(pixels: UInt8[np.ndarray, "H W C"]) -> Iterator[UInt8[np.ndarray, "rows bytes"]]:
    """Bands of filtered rows, each with the number of its filter first."""
    above = np.zeros(pixels[0].size, np.uint8)
    for top in range(0, len(pixels), BAND):
        rows = pixels[top : top + BAND].reshape(-1, above.size)
        filtered = np.empty((len(rows), 1 + above.size), np.uint8)
        filtered[:, 0] = UP
        filtered[0, 1:] = rows[0] - above
        np.subtract(rows[1:], rows[:-1], out=filtered[1:, 1:])
        above = rows[-1]
        yield filtered
