"""Image files with more than 8 bits: the value of white, warnings if it may be wrong, and 16-bit colors."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from PIL import Image

from cnnexplain.errors import ImageError
from cnnexplain.inputs.source import Levels, Source

WHITE = 65535
"""White in 16-bit files, unless the file or the user declares another value."""

FLOAT_WHITES = (1, 255, WHITE)
"""White in files with floating-point numbers is the first of these that is not exceeded."""

SLACK = 1e-3
"""Computed values may exceed black and white by this share of white."""

BITS = (8, 10, 12, 14, 15)
"""The usual numbers of bits of cameras and scanners whose values are stored in 16-bit files."""

NAMED = 3
"""The number of images that a warning lists by name before it counts the rest."""

LOW_BYTES = {
    **{
        f"{mode};16{one}": f"{mode};16{other}"
        for mode in ("RGB", "RGBX", "RGBA")
        for one, other in ("BL", "LB", ("N", "B" if sys.byteorder == "little" else "L"))
    },
    "LA;16B": "RGBA",
}
"""Pillow keeps only the high bytes of 16-bit colors. For its raw modes, those that make it keep the low bytes instead."""

HIGHEST, BIT_DEPTH, PHOTOMETRIC, PLANES = (341, 281), 258, 262, 284
"""The TIFF tags for the highest possible value of the samples, their number of bits, which end is white, and the planes."""


def declared_white(image: Any) -> float | None:
    """The value of white declared by a TIFF file, as a number of bits or the highest possible value; None if missing."""
    if image.format != "TIFF":
        return None
    bits = image.tag_v2.get(BIT_DEPTH, (1,))[0]
    if 8 < bits < 16:
        return float(2**bits - 1)
    for tag in HIGHEST:
        value = image.tag_v2.get(tag)
        highest = max(value) if isinstance(value, tuple) else value
        # Some programs write the highest value that occurs. If all bits are set, it is the highest possible value.
        if isinstance(highest, int | float) and 255 < highest < WHITE and (int(highest) & int(highest + 1)) == 0:
            return float(highest)
    return None


def is_inverted(image: Any) -> bool:
    """Whether the lowest value is white in an image of more than 8 bits, which Pillow ignores."""
    return bool(image.format == "TIFF" and image.tag_v2.get(PHOTOMETRIC) == 0)


def has_misread_planes(image: Any) -> bool:
    """Whether a TIFF file has 16-bit colors in separate planes that Pillow would read as 8-bit planes."""
    tags = image.tag_v2
    planes = tags.get(PLANES, 1) == 2 and max(tags.get(BIT_DEPTH, (1,))) > 8
    return bool(planes and image.mode in ("RGB", "RGBA", "CMYK") and image.tile and image.tile[0][0] == "raw")


def gray_levels(
    lowest: float, highest: float, name: str, *, floats: bool, in_file: float | None = None, white_level: float | None
) -> Levels:
    """The levels of an image of integers of more than 8 bits, or of floating-point numbers.

    Args:
        lowest: The lowest value.
        highest: The highest value.
        name: The name of the image in errors.
        floats: Whether the values are floating-point numbers.
        in_file: The value of white declared in the file.
        white_level: The value of white declared by the user.

    Raises:
        ImageError: The values are out of range for every possible white.
    """
    white = _declared(highest, in_file, white_level)
    is_declared = white is not None
    if white is None:
        white = next((each for each in (FLOAT_WHITES if floats else (WHITE,)) if highest <= (1 + SLACK) * each), None)
    if white is None or lowest < (-SLACK * white if floats else 0):
        raise ImageError(
            f"The image '{name}' has values from {lowest:g} to {highest:g}; expected 0 to {white_level or WHITE:g}. "
            "Negative values can't be shown; if a higher value is white, give it as --input-white-level (white_level)."
        )
    return Levels(highest, white, is_declared)


def color_levels(highest: float, image: Any, white_level: float | None) -> Levels:
    """The levels of an image with 16-bit colors.

    Args:
        highest: The highest value.
        image: The image, opened by Pillow.
        white_level: The value of white declared by the user.
    """
    white = _declared(highest, declared_white(image), white_level)
    return Levels(highest, WHITE if white is None else white, white is not None)


def _declared(highest: float, in_file: float | None, white_level: float | None) -> float | None:
    """The value of white declared by the user, or by the file unless its values exceed it."""
    return white_level if white_level is not None or in_file is None or highest > in_file else in_file


def raw_mode(image: Any) -> str:
    """The raw mode from which Pillow will unpack the decoded bytes, such as "RGB;16B"."""
    how = image.tile[0][3] if image.tile else ""
    return str(how[0]) if isinstance(how, tuple) and how else str(how)


def has_low_bytes(image: Any) -> bool:
    """Whether Pillow can decode the low bytes of the 16-bit colors of an image."""
    return raw_mode(image) in LOW_BYTES and (image.format != "TIFF" or image.tag_v2.get(PLANES, 1) == 1)


def keep_low_bytes(image: Any) -> None:
    """Makes Pillow keep the low bytes of 16-bit colors, instead of the high ones, when it decodes an image."""
    other = LOW_BYTES[raw_mode(image)]
    image.tile = [
        tile._replace(args=(other, *tile.args[1:]) if isinstance(tile.args, tuple) else other) for tile in image.tile
    ]


def combined(high: Image.Image, low: Image.Image, white: float, *, gray: bool) -> Image.Image:
    """Combines the high and low bytes of colors, and converts them to 8 bits.

    Args:
        high: The high bytes, RGB or RGBA.
        low: The low bytes, RGB or RGBA. If `gray`, the channels are the high and low byte of the gray value and those of the
            opacity.
        white: The value that becomes 255.
        gray: Whether the image has gray values with opacity.
    """
    high_bytes, low_bytes = np.asarray(high, np.uint16), np.asarray(low, np.uint16)
    if gray:
        low_bytes = low_bytes[..., [1, 1, 1, 3]]
    values = np.minimum(((high_bytes << 8) | low_bytes) * np.float32(255 / white), 255)
    # Opacity does not depend on the value of white.
    values[..., 3:] = high_bytes[..., 3:]
    return Image.fromarray(np.round(values).astype(np.uint8), high.mode)


def misread(sources: Iterable[Source]) -> Iterator[str]:
    """Warnings about images that are probably too dark or too light, because the value of white had to be guessed."""
    known = [(source.name, source.levels) for source in sources if source.levels is not None]
    clipped = {name: levels for name, levels in known if levels.highest > (1 + SLACK) * levels.white}
    if clipped:
        levels = max(clipped.values(), key=lambda each: each.highest)
        yield (
            f"{_listed(list(clipped))} {'has' if len(clipped) == 1 else 'have'} values up to {levels.highest:,g}, above the "
            f"white level of {levels.white:,g} (--input-white-level); they were clipped to it."
        )
    guessed = [(name, levels) for name, levels in known if not levels.declared and levels.white > 1]
    # A dark image among bright ones is probably just dark.
    if guessed and all(levels.highest < levels.white / 2 for _, levels in guessed):
        highest, white = max((levels.highest, levels.white) for _, levels in guessed)
        bits = next((bits for bits in BITS if highest <= 2**bits - 1), 16)
        remedy = (
            f"If they contain {bits}-bit data, use --input-white-level {2**bits - 1} (white_level={2**bits - 1})"
            if white == WHITE
            else "If another value is white, use --input-white-level (white_level)"
        )
        yield (
            f"The highest value of {_listed([name for name, _ in guessed])} is {highest:,.6g}, but {white:,g} was used as "
            f"white. {remedy if len(guessed) > 1 else remedy.replace('they contain', 'it contains')}."
        )


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{', '.join(names[:NAMED])}{more}"
