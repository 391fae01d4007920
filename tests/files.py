"""Image files written by hand: what Pillow reads and can't write."""

import struct
import zlib

import numpy as np

PNG_KINDS = {1: 0, 2: 4, 3: 2, 4: 6}
"""PNG's number for gray, gray with opacity, RGB and RGBA, by the channels."""


def png(pixels, *, kind=None):
    """A PNG of 16 bits of an array (h, w, channels); `kind` by the channels."""
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], 16, kind or PNG_KINDS[pixels.shape[2]], 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows, 1)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )


def tiff(pixels, order="<", *, tile=None, deflate=False, rows=None, planar=False, **tags):
    """A TIFF of an array (h, w, channels): in strips of so many rows, or in square tiles of so many; tags as t262=0."""
    height, width, channels = pixels.shape
    pixels = pixels.astype(pixels.dtype.newbyteorder(order))
    planes = [pixels[..., place : place + 1] for place in range(channels)] if planar else [pixels]
    pieces = []
    for plane in planes:
        if tile:
            padded = np.pad(plane, ((0, -height % tile), (0, -width % tile), (0, 0)))
            pieces += [
                padded[top : top + tile, left : left + tile]
                for top in range(0, height, tile)
                for left in range(0, width, tile)
            ]
        else:
            pieces += [plane[top : top + (rows or height)] for top in range(0, height, rows or height)]
    packed = [zlib.compress(piece.tobytes()) if deflate else piece.tobytes() for piece in pieces]
    kind = {"u": 1, "i": 2, "f": 3}[pixels.dtype.kind]
    bits = 8 * pixels.dtype.itemsize
    found = {
        256: [width],
        257: [height],
        258: [bits] * channels,
        259: [8 if deflate else 1],
        262: [1 if channels < 3 else 2],
    }
    found |= {277: [channels], 284: [2 if planar else 1], 339: [kind] * channels}
    if channels in (2, 4):
        found[338] = [2]
    places = list(8 + np.cumsum([0, *map(len, packed)])[:-1])
    found |= {322: [tile], 323: [tile]} if tile else {278: [rows or height]}
    found |= {324 if tile else 273: places, 325 if tile else 279: list(map(len, packed))}
    found |= {int(name[1:]): list(np.atleast_1d(value)) for name, value in tags.items()}
    body = b"".join(packed)
    body += b"\0" * (len(body) % 2)
    entries = b""
    for tag in sorted(found):
        values = [int(value) for value in found[tag]]
        data = struct.pack(f"{order}{len(values)}I", *values) if max(values) > 65535 or tag in (273, 324) else b""
        number = 4 if data else 3
        data = data or struct.pack(f"{order}{len(values)}H", *values)
        if len(data) > 4:
            place = struct.pack(f"{order}I", 8 + len(body))
            body += data + b"\0" * (len(data) % 2)
            data = place
        entries += struct.pack(f"{order}HHI", tag, number, len(values)) + data.ljust(4, b"\0")
    mark = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, 8 + len(body))
    return mark + body + struct.pack(f"{order}H", len(found)) + entries + bytes(4)
