"""Fitting text: its width in the font of the pictures, shortening, and characters that the font cannot draw."""

from __future__ import annotations

from bisect import bisect_right
from functools import cache

from matplotlib import font_manager
from matplotlib.ft2font import FT2Font, LoadFlags

from cnnexplain.matplotlib_settings import drawing

HINTING = 1.04
"""Hinting, which aligns letters with whole pixels, widens a text by at most this factor."""


def text_width(text: str, points: float) -> float:
    """Upper bound of the width in inches of a line of text in the font of the pictures, at any resolution.

    Args:
        text: The line.
        points: Font size.
    """
    font = _font()
    font.set_size(points, 72)
    font.set_text(text, flags=LoadFlags.NO_HINTING)
    return HINTING * float(font.get_width_height()[0]) / 64 / 72


def fit_text(text: str, inches: float, points: float, *, tail: bool = False) -> str:
    """As much of a text as fits into a width, in characters that the font can draw.

    Args:
        text: The text.
        inches: The width available.
        points: Font size.
        tail: Whether to keep the end of a text that is too long, instead of its start.
    """
    text = legible(text)
    if text_width(text, points) <= inches:
        return text
    lengths = range(1, len(text))
    fitting = bisect_right(lengths, inches, key=lambda length: text_width(shorten(text, length, tail=tail), points))
    return shorten(text, max(fitting, 1), tail=tail)


def shorten(text: str, length: int, *, tail: bool = False) -> str:
    """A text cut to at most `length` characters, with an ellipsis at its end, or at its start if `tail`."""
    if len(text) <= length:
        return text
    return "…" + text[1 - length :] if tail else text[: length - 1] + "…"


def legible(text: str, *, keep: str = "") -> str:
    """The text with "□" for each character that is not printable or missing in the font, except for those in `keep`."""
    font = _font()
    drawable = (char in keep or (char.isprintable() and font.get_char_index(ord(char))) for char in text)
    return "".join(char if can_draw else "□" for char, can_draw in zip(text, drawable, strict=True))


def _font() -> FT2Font:
    return font_manager.get_font(_font_file())


@cache
def _font_file() -> str:
    with drawing():
        return font_manager.findfont(font_manager.FontProperties())
