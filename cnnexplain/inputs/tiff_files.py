"""Decodes TIFF files a few strips or rows of tiles at a time. Pillow itself decodes them as a whole, in memory."""

from __future__ import annotations

import io
import math
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, BinaryIO, TypeAlias

from PIL import Image

Box: TypeAlias = tuple[int, int, int, int]
"""The first column and row of a part of an image, and the column and row after the last."""

WIDTH, HEIGHT, COMPRESSION, LAYOUT, ORIENTATION = 256, 257, 259, 284, 274
STRIPS, TILES = (278, 273, 279), (323, 324, 325)
"""The tags for the number of rows of each piece, the offsets of the pieces, and their numbers of bytes."""

TILE_WIDTH = 322

COPIED = (WIDTH, 258, COMPRESSION, 262, 266, 277, LAYOUT, 292, 293, 317, 320, TILE_WIDTH, 338, 339, 347, 530)
"""The tags that determine the meaning of the bytes of a piece."""

UNSUPPORTED = (532, 512, 513)
"""Tags of files that are decoded as a whole: those with reference values for black and white, or with JPEG before 1995."""

BLOCK = 1 << 20
"""If an uncompressed file has a single strip, it is divided into strips of this many pixels."""

MAX_PIECE = 8_000_000
"""Files with more pixels in a strip or row of tiles are decoded as a whole."""


@dataclass(frozen=True)
class Strips:
    """The first image of a TIFF file, as it is stored.

    Args:
        size: The columns and rows of the stored image.
        crop: Decodes a part, given its box and optionally a function that is called with each image before it is decoded.
    """

    size: tuple[int, int]
    crop: Callable[..., Image.Image]


def strips(image: Any, file: BinaryIO) -> Strips | None:
    """How to decode a file in pieces; None if that is not possible, or if a piece is most of the image.

    Args:
        image: The image, opened by Pillow but not yet decoded.
        file: The same file.
    """
    if image.format != "TIFF":
        return None
    tags: Mapping[int, Any] = image.tag_v2
    kind = TILES if TILES[1] in tags else STRIPS
    size = width, height = tags[WIDTH], tags[HEIGHT]
    rows = max(1, min(tags.get(kind[0], height), height if kind is STRIPS else MAX_PIECE))
    offsets, counts = (_tuple(tags.get(tag)) for tag in kind[1:])
    across = math.ceil(width / tags[TILE_WIDTH]) if kind is TILES else 1
    if kind is STRIPS and len(offsets) == len(counts) == 1 and tags.get(COMPRESSION, 1) == 1 and not counts[0] % height:
        # A single uncompressed strip can be divided between any two rows.
        rows, line = max(1, BLOCK // width), counts[0] // height
        tops = range(0, height, rows)
        counts = tuple(line * min(rows, height - top) for top in tops)
        offsets = tuple(offsets[0] + line * top for top in tops)
    whole = len(offsets) != len(counts) or across * math.ceil(height / rows) != len(offsets) or rows * width > MAX_PIECE
    if whole or tags.get(LAYOUT, 1) != 1 or any(tag in tags for tag in UNSUPPORTED):
        return None
    copied = {tag: tags[tag] for tag in COPIED if tag in tags}

    # Consecutive parts are often in the same tiles.
    @lru_cache(maxsize=1)
    def decoded(first: int, last: int, before: Callable[[Any], None] | None) -> Image.Image:
        pieces = []
        for place in range(first * across, last * across):
            file.seek(offsets[place])
            pieces.append(file.read(counts[place]))
        part_tags = {**copied, HEIGHT: min(last * rows, height) - first * rows, kind[0]: rows}
        data = _file(tags.prefix, part_tags, kind, pieces)  # type: ignore[attr-defined]
        part = Image.open(io.BytesIO(data), formats=("TIFF",))
        if before is not None:
            before(part)
        part.load()
        return part

    def crop(box: Box, before: Callable[[Any], None] | None = None) -> Image.Image:
        first, last = box[1] // rows, math.ceil(box[3] / rows)
        return decoded(first, last, before).crop((box[0], box[1] - first * rows, box[2], box[3] - first * rows))

    return Strips(size, crop)


def _tuple(value: Any) -> tuple[int, ...]:
    return value if isinstance(value, tuple) else () if value is None else (value,)


def _file(order: bytes, tags: Mapping[int, Any], kind: tuple[int, int, int], pieces: list[bytes]) -> bytes:
    """A TIFF file with these tags and pieces: the header, the pieces, the long values of tags, then the directory."""
    sign = "<" if order == b"II" else ">"
    body, places = bytearray(8), []
    for piece in pieces:
        places.append(len(body))
        body += piece
    entries = b""
    all_tags = {**tags, kind[1]: tuple(places), kind[2]: tuple(map(len, pieces))}
    for tag in sorted(all_tags):
        number, count, data = _packed(sign, all_tags[tag])
        if len(data) > 4:
            body += b"\0" * (len(body) % 2)
            data, long_value = struct.pack(f"{sign}L", len(body)), data
            body += long_value
        entries += struct.pack(f"{sign}HHL", tag, number, count) + data.ljust(4, b"\0")
    body += b"\0" * (len(body) % 2)
    body[:8] = order + struct.pack(f"{sign}HL", 42, len(body))
    return bytes(body) + struct.pack(f"{sign}H", len(all_tags)) + entries + bytes(4)


def _packed(sign: str, value: Any) -> tuple[int, int, bytes]:
    """The type, the count and the bytes of a tag: undefined bytes, or integers of two or four bytes."""
    if isinstance(value, bytes):
        return 7, len(value), value
    values = _tuple(value)
    number, letter = (3, "H") if max(values) < 1 << 16 else (4, "L")
    return number, len(values), struct.pack(f"{sign}{len(values)}{letter}", *values)
