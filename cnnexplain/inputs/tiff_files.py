"""TIFF files, decoded a few strips or rows of tiles at a time; Pillow decodes all of them, with the whole file in memory."""

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
"""The first column and row of a part, and those after the last."""

WIDTH, HEIGHT, COMPRESSION, LAYOUT, ORIENTATION = 256, 257, 259, 284, 274
STRIPS, TILES = (278, 273, 279), (323, 324, 325)
"""The tags for the rows of each piece, where the pieces lie and how many bytes they have."""

TILE_WIDTH = 322

COPIED = (WIDTH, 258, COMPRESSION, 262, 266, 277, LAYOUT, 292, 293, 317, 320, TILE_WIDTH, 338, 339, 347, 530)
"""The tags that decide what the bytes of a piece stand for."""

OTHERWISE = (532, 512, 513)
"""Tags of files that are decoded as a whole: with black and white of their own, or with the JPEG of before 1995."""

BLOCK = 1 << 20
"""Pixels of the strips into which a file without compression is cut that has but one."""

LARGEST = 8_000_000
"""Pixels of a strip or row of tiles, above which the file is decoded as a whole."""


@dataclass(frozen=True)
class Strips:
    """The first image of a TIFF file, upright or not as it is stored.

    Args:
        size: Its columns and rows as they are stored.
        crop: Decodes a part of it, by its box; also takes what is to be done to each image before it is decoded.
    """

    size: tuple[int, int]
    crop: Callable[..., Image.Image]


def strips(image: Any, file: BinaryIO) -> Strips | None:
    """How to decode a file piece by piece; None where that can't be done, or where a piece is nearly all.

    Args:
        image: The file as Pillow has opened it, not yet decoded.
        file: The same file.
    """
    if image.format != "TIFF":
        return None
    tags: Mapping[int, Any] = image.tag_v2
    kind = TILES if TILES[1] in tags else STRIPS
    size = width, height = tags[WIDTH], tags[HEIGHT]
    rows = max(1, min(tags.get(kind[0], height), height if kind is STRIPS else LARGEST))
    offsets, counts = (_tuple(tags.get(tag)) for tag in kind[1:])
    across = math.ceil(width / tags[TILE_WIDTH]) if kind is TILES else 1
    if kind is STRIPS and len(offsets) == len(counts) == 1 and tags.get(COMPRESSION, 1) == 1 and not counts[0] % height:
        # One strip of bytes as they are can be cut between any rows.
        rows, line = max(1, BLOCK // width), counts[0] // height
        tops = range(0, height, rows)
        counts = tuple(line * min(rows, height - top) for top in tops)
        offsets = tuple(offsets[0] + line * top for top in tops)
    whole = len(offsets) != len(counts) or across * math.ceil(height / rows) != len(offsets) or rows * width > LARGEST
    if whole or tags.get(LAYOUT, 1) != 1 or any(tag in tags for tag in OTHERWISE):
        return None
    copied = {tag: tags[tag] for tag in COPIED if tag in tags}

    # Parts that follow one another often lie in the same tiles.
    @lru_cache(maxsize=1)
    def decoded(first: int, last: int, before: Callable[[Any], None] | None) -> Image.Image:
        pieces = []
        for place in range(first * across, last * across):
            file.seek(offsets[place])
            pieces.append(file.read(counts[place]))
        here = {**copied, HEIGHT: min(last * rows, height) - first * rows, kind[0]: rows}
        part = Image.open(io.BytesIO(_file(tags.prefix, here, kind, pieces)), formats=("TIFF",))  # type: ignore[attr-defined]
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
    """A TIFF file of these tags and pieces: the header, the pieces, what the tags hold, then the directory."""
    sign = "<" if order == b"II" else ">"
    body, places = bytearray(8), []
    for piece in pieces:
        places.append(len(body))
        body += piece
    entries = b""
    found = {**tags, kind[1]: tuple(places), kind[2]: tuple(map(len, pieces))}
    for tag in sorted(found):
        number, count, data = _packed(sign, found[tag])
        if len(data) > 4:
            body += b"\0" * (len(body) % 2)
            data, held = struct.pack(f"{sign}L", len(body)), data
            body += held
        entries += struct.pack(f"{sign}HHL", tag, number, count) + data.ljust(4, b"\0")
    body += b"\0" * (len(body) % 2)
    body[:8] = order + struct.pack(f"{sign}HL", 42, len(body))
    return bytes(body) + struct.pack(f"{sign}H", len(found)) + entries + bytes(4)


def _packed(sign: str, value: Any) -> tuple[int, int, bytes]:
    """The type, the count and the bytes of a tag: undefined bytes, or whole numbers of two or four bytes."""
    if isinstance(value, bytes):
        return 7, len(value), value
    values = _tuple(value)
    number, letter = (3, "H") if max(values) < 1 << 16 else (4, "L")
    return number, len(values), struct.pack(f"{sign}{len(values)}{letter}", *values)
