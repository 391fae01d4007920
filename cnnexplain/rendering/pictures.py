"""Figures as files: their format and resolution, and small versions for pages."""

from __future__ import annotations

import io
import math
import re
from bisect import bisect_left
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnexplain.errors import OutputError, PluginError, UsageError, foreign, reason, shown, suggest
from cnnexplain.matplotlib_settings import drawing

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL.Image import Image

FORMATS = ("png", "svg", "pdf")
ALL, NONE = "all", "none"
MIN_DPI, MAX_DPI = 20, 1200

SIZES = (
    (400, 30),
    (500, 30),
    (600, 30),
    (700, 35),
    (850, 40),
    (1000, 40),
    (1000, 50),
    (1200, 50),
    (1200, 60),
    (1400, 70),
    (1600, 80),
)
"""Widths in pixels and WebP qualities; the last one that makes a picture small enough is used."""

PAGE_DPI = 130
"""Pixels per inch of the pictures on pages and in notebooks."""

PIXELS = 1 << 29
"""Pixels of a picture at most; Matplotlib needs four bytes for each."""

WEBP = 16383
"""Pixels a side of a WebP picture at most."""


def compact(image: Image, most: int) -> bytes:
    """A picture as WebP of up to `most` bytes, as wide and good as possible, and lossless if that is small enough.

    It is never narrower or worse than the first of `SIZES`, even if it takes more bytes.
    """
    exact = _webp(image, lossless=True) if image.width * image.height <= 4 * most else b""
    if exact and len(exact) <= most:
        return exact

    @cache
    def written(index: int) -> bytes:
        width, quality = SIZES[index]
        share = min(1, width / image.width, WEBP / image.height)
        size = max(1, round(image.width * share)), max(1, round(image.height * share))
        return _webp(image if share == 1 else image.resize(size, reducing_gap=3), quality=quality)

    above = bisect_left(range(len(SIZES)), most + 1, key=lambda place: len(written(place)))
    return written(max(above - 1, 0))


def _webp(image: Image, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", method=4, **options)
    return buffer.getvalue()


@dataclass(frozen=True)
class Pictures:
    """Format, resolution and number of picture files.

    Args:
        format: "png", "svg" or "pdf".
        dpi: Pixels per inch, from 20 to 1200; in an SVG or PDF only of embedded images.
        most: Only the first images get a picture, at most this number; with 0, there are no pictures at all, not even those
            that belong to no single image. None for all.

    Raises:
        UsageError: The format, resolution or number is not one of these.
    """

    format: str = "png"
    dpi: int = 130
    most: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.format, str) or self.format not in FORMATS:
            raise UsageError(
                f"Pictures are written as {', '.join(FORMATS)}, but got {shown(self.format)}.{suggest(self.format, FORMATS)}"
            )
        if not isinstance(self.dpi, int) or isinstance(self.dpi, bool) or not MIN_DPI <= self.dpi <= MAX_DPI:
            raise UsageError(f"Pictures take a whole number from {MIN_DPI} to {MAX_DPI} as dpi, but got {shown(self.dpi)}.")
        if self.most is not None and (not isinstance(self.most, int) or isinstance(self.most, bool) or self.most < 0):
            raise UsageError(f"The number of pictures is 0 or more, or None for all, but got {shown(self.most)}.")

    def count(self, images: int) -> int:
        """How many of this number of images get a picture."""
        return images if self.most is None else min(images, self.most)

    def save(self, figure: Figure, path: Path) -> None:
        """Writes a figure reproducibly: without dates and random ids.

        Raises:
            OutputError: It would have too many pixels at this resolution.
            OSError: The file can't be written.
            PluginError: It can't be drawn.
        """
        sides = [side * self.dpi for side in figure.get_size_inches()]
        if self.format == "png" and (max(sides) >= 2**16 or math.prod(sides) > PIXELS):
            inches = " × ".join(f"{side:.3g}" for side in figure.get_size_inches())
            raise OutputError(f"A picture of {inches} inches is too large for {self.dpi} dpi; choose a smaller --dpi.")
        path.write_bytes(encoded(figure, self.format, self.dpi))


def most(text: str) -> int | None:
    """The value of `Pictures.most` for a number as text, "none" or "all".

    Raises:
        UsageError: It is something else.
    """
    if text in (ALL, NONE):
        return None if text == ALL else 0
    if not re.fullmatch("[0-9]{1,9}", text):
        raise UsageError(f"--pictures takes a whole number, '{NONE}' or '{ALL}', but got {shown(text)}.")
    return int(text)


def encoded(figure: Figure, format: str, dpi: int) -> bytes:  # noqa: A002
    """A figure as PNG, SVG or PDF, with the settings of all pictures. Its label names it in errors.

    Raises:
        PluginError: The figure can't be drawn.
    """
    from cnnexplain.rendering import png_file, raster

    name = figure.get_label() or "A picture"
    with drawing(), foreign(lambda error: PluginError(f"{name} can't be drawn: {reason(error)}")):
        if format == "png":
            return png_file.encoded(raster.pixels(figure, dpi), dpi)
        buffer = io.BytesIO()
        undated: dict[str, Any] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}[format]
        figure.savefig(buffer, format=format, dpi=dpi, metadata=undated)
        return buffer.getvalue()


def png(figure: Figure) -> bytes:
    """A figure as PNG, for a page or a notebook.

    Raises:
        PluginError: The figure can't be drawn.
    """
    return encoded(figure, "png", PAGE_DPI)
