"""How much memory Pillow needs to decode an image, which is known before it does."""

from __future__ import annotations

import os
from typing import Any, BinaryIO

from cnnexplain.errors import ImageError
from cnnexplain.inputs import tiff_files
from cnnexplain.inputs.orientation import TURNS

MEMORY = 460 << 20
"""An image is refused that takes more bytes than that to decode; what is done with it then takes some 40 MiB."""

BYTES = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16L": 2, "I;16B": 2}
"""How many bytes a pixel has in Pillow's memory, where these are not four."""

ROW = 8
"""How many bytes Pillow takes for each row besides."""

WEBP = 16
"""Bytes for a pixel of a WebP: two canvases of its decoder, what that hands out, and Pillow's own."""

DRAFTED = ("JPEG", "MPO")
"""The formats that can be decoded at a half, a quarter or an eighth of their size."""


def check(image: Any, size: tuple[int, int], file: BinaryIO, name: str, *, copies: int) -> None:
    """Sees that decoding a whole image fits into `MEMORY`.

    Args:
        image: As Pillow has opened it; a JPEG is decoded at the size that it has now.
        size: The columns and rows that it has in the file.
        file: The file.
        name: What to call it in an error.
        copies: How often it is decoded.

    Raises:
        ImageError: It does not.
    """
    pixels = image.width * image.height
    needed = copies * (pixels * BYTES.get(image.mode, 4) + ROW * image.height)
    if image.format == "WEBP":
        needed = WEBP * pixels
    elif image.format in DRAFTED:
        needed += _coefficients(image, size, file)
    elif image.format == "TIFF":
        # Turning makes a copy, and the decoder of compressed files maps the file into memory.
        turned = image.tag_v2.get(tiff_files.ORIENTATION, 1) in TURNS
        needed *= 1 + turned
        needed += copies * os.fstat(file.fileno()).st_size if image.tile[0][0] == "libtiff" else 0
    if needed > MEMORY:
        raise ImageError(
            f"To decode the image '{name}' of {size[0]}×{size[1]} pixels takes {needed >> 20:,} MiB, of which "
            f"{MEMORY >> 20} are allowed. Make it smaller, or save it as a plain (not progressive) JPEG or as a PNG."
        )


def _coefficients(image: Any, size: tuple[int, int], file: BinaryIO) -> int:
    """The bytes of the coefficients that a JPEG of several scans, such as a progressive one, has in memory all at once."""
    components: list[tuple[int, int]] = [(across, down) for _, across, down, *_ in image.layer]
    # Pillow has just read the header of the first scan: its length, then how many components the scan has, and so on.
    header = 6 + 2 * len(components)
    place = file.tell()
    file.seek(place - header)
    together = file.read(3) == bytes((0, header, len(components)))
    file.seek(place)
    if together and not image.info.get("progressive"):
        return 0
    most: int = max(across for across, _ in components) * max(down for _, down in components)
    return 2 * size[0] * size[1] * sum(across * down for across, down in components) // max(1, most)
