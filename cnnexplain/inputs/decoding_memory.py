"""Computes the memory that Pillow needs to decode an image, before it does."""

from __future__ import annotations

import os
from typing import Any, BinaryIO

from cnnexplain.errors import ImageError
from cnnexplain.inputs import tiff_files
from cnnexplain.inputs.orientation import TURNS

MEMORY = 460 << 20
"""Images that need more bytes are rejected. Their further processing takes about 40 MiB."""

BYTES = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16L": 2, "I;16B": 2}
"""The bytes per pixel in Pillow's memory, by mode, if not four."""

ROW = 8
"""The additional bytes per row in Pillow's memory."""

WEBP = 16
"""The bytes per pixel of a WebP image: two canvases of the decoder, its output, and Pillow's copy."""

DRAFTED = ("JPEG", "MPO")
"""The formats that can be decoded at a half, a quarter or an eighth of their size."""


def check(image: Any, size: tuple[int, int], file: BinaryIO, name: str, *, copies: int) -> None:
    """Checks that decoding a whole image takes at most `MEMORY` bytes.

    Args:
        image: The image, opened by Pillow; a JPEG is decoded at its current `size`.
        size: The columns and rows of the image in the file.
        file: The file.
        name: The name of the file in errors.
        copies: How many times the image is decoded.

    Raises:
        ImageError: It takes more.
    """
    pixels = image.width * image.height
    needed = copies * (pixels * BYTES.get(image.mode, 4) + ROW * image.height)
    if image.format == "WEBP":
        needed = WEBP * pixels
    elif image.format in DRAFTED:
        needed += _coefficients(image, size, file)
    elif image.format == "TIFF":
        # Turning copies the image, and the decoder of compressed files maps the file into memory.
        turned = image.tag_v2.get(tiff_files.ORIENTATION, 1) in TURNS
        needed *= 1 + turned
        needed += copies * os.fstat(file.fileno()).st_size if image.tile[0][0] == "libtiff" else 0
    if needed > MEMORY:
        raise ImageError(
            f"Decoding the image '{name}' of {size[0]}×{size[1]} pixels takes {needed >> 20:,} MiB, but at most "
            f"{MEMORY >> 20} are allowed. Make it smaller, or save it as a plain (not progressive) JPEG or as a PNG."
        )


def _coefficients(image: Any, size: tuple[int, int], file: BinaryIO) -> int:
    """The bytes of the coefficients, which a JPEG with several scans, such as a progressive one, keeps all in memory."""
    components: list[tuple[int, int]] = [(across, down) for _, across, down, *_ in image.layer]
    # Pillow has just read the header of the first scan, which starts with its length and the number of its components.
    header = 6 + 2 * len(components)
    position = file.tell()
    file.seek(position - header)
    single_scan = file.read(3) == bytes((0, header, len(components)))
    file.seek(position)
    if single_scan and not image.info.get("progressive"):
        return 0
    most: int = max(across for across, _ in components) * max(down for _, down in components)
    return 2 * size[0] * size[1] * sum(across * down for across, down in components) // max(1, most)
