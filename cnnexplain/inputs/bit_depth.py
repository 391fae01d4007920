"""Image files of more than 8 bits: which value is white, what is said where that may be wrong, and colors of 16 bits."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from PIL import Image

from cnnexplain.errors import ImageError
from cnnexplain.inputs.source import Levels, Source

WHITE = 65535
"""White in files of 16 bits, unless something says otherwise."""

REALS = (1, 255, WHITE)
"""White in files of floating-point numbers: the first of these that holds them."""

SLACK = 1e-3
"""By what share of white a value may be beyond black and white, as computed ones often are."""

BITS = (8, 10, 12, 14, 15)
"""How many bits cameras and scanners have whose values are often kept in files of 16."""

NAMED = 3
"""How many images a warning names before it counts the rest."""

LOW = {
    **{
        f"{mode};16{one}": f"{mode};16{other}"
        for mode in ("RGB", "RGBX", "RGBA")
        for one, other in ("BL", "LB", ("N", "B" if sys.byteorder == "little" else "L"))
    },
    "LA;16B": "RGBA",
}
"""Of colors of 16 bits Pillow keeps the high bytes; by how it unpacks these: how it unpacks the low ones instead."""

HIGHEST, BIT_DEPTH, INVERTED, PLANES = (341, 281), 258, 262, 284
"""The TIFF tags for the highest value that the samples may have, their bits, which end of them is white, and the planes."""


def told(image: Any) -> float | None:
    """The value that is white as a TIFF file tells it, by its number of bits or by the highest value that it may have."""
    if image.format != "TIFF":
        return None
    bits = image.tag_v2.get(BIT_DEPTH, (1,))[0]
    if 8 < bits < 16:
        return float(2**bits - 1)
    for tag in HIGHEST:
        found = image.tag_v2.get(tag)
        most = max(found) if isinstance(found, tuple) else found
        # Some programs write the highest value of the samples there are; all bits set is what they may have.
        if isinstance(most, int | float) and 255 < most < WHITE and (int(most) & int(most + 1)) == 0:
            return float(most)
    return None


def inverted(image: Any) -> bool:
    """Whether the lowest value is white in an image of more than 8 bits, which Pillow does not see to."""
    return bool(image.format == "TIFF" and image.tag_v2.get(INVERTED) == 0)


def torn(image: Any) -> bool:
    """Whether a TIFF file has colors of 16 bits in such separate planes as Pillow takes for ones of 8 bits."""
    tags = image.tag_v2
    planes = tags.get(PLANES, 1) == 2 and max(tags.get(BIT_DEPTH, (1,))) > 8
    return bool(planes and image.mode in ("RGB", "RGBA", "CMYK") and image.tile and image.tile[0][0] == "raw")


def of_values(
    lowest: float, highest: float, name: str, *, reals: bool, by_file: float | None = None, said: float | None
) -> Levels:
    """The levels of an image of whole numbers of more than 8 bits, or of floating-point numbers.

    Args:
        lowest: Of its values.
        highest: Of its values.
        name: What to call it in an error.
        reals: Whether they are floating-point numbers.
        by_file: The value that the file says is white.
        said: The value that the user says is white.

    Raises:
        ImageError: The values are out of the range that any white gives.
    """
    white = _known(highest, by_file, said)
    is_told = white is not None
    if white is None:
        white = next((each for each in (REALS if reals else (WHITE,)) if highest <= (1 + SLACK) * each), None)
    if white is None or lowest < (-SLACK * white if reals else 0):
        raise ImageError(
            f"The image '{name}' has values from {lowest:g} to {highest:g}; expected 0 to {said or WHITE:g}. Negative "
            "values can't be shown; if a higher one is white, say which with --input-white-level (white_level)."
        )
    return Levels(highest, white, is_told)


def of_colors(highest: float, image: Any, said: float | None) -> Levels:
    """The levels of an image that Pillow has opened, with colors of 16 bits; the arguments are as in `of_values`."""
    white = _known(highest, told(image), said)
    return Levels(highest, WHITE if white is None else white, white is not None)


def _known(highest: float, by_file: float | None, said: float | None) -> float | None:
    """The value that is white as the user says it, or the file does and its values agree."""
    return said if said is not None or by_file is None or highest > by_file else by_file


def unpacked(image: Any) -> str:
    """How Pillow will unpack what it decodes, such as "RGB;16B"."""
    how = image.tile[0][3] if image.tile else ""
    return str(how[0]) if isinstance(how, tuple) and how else str(how)


def has_low(image: Any) -> bool:
    """Whether the low bytes of its colors of 16 bits can be had."""
    return unpacked(image) in LOW and (image.format != "TIFF" or image.tag_v2.get(PLANES, 1) == 1)


def keep_low(image: Any) -> None:
    """Lets Pillow keep the low bytes of colors of 16 bits, and not the high ones, when it decodes an image."""
    other = LOW[unpacked(image)]
    image.tile = [
        tile._replace(args=(other, *tile.args[1:]) if isinstance(tile.args, tuple) else other) for tile in image.tile
    ]


def joined(high: Image.Image, low: Image.Image, white: float, *, gray: bool) -> Image.Image:
    """The colors of high and low bytes, as 8 bits of which 255 is white.

    Args:
        high: RGB or RGBA.
        low: Likewise; the high byte, the low one and those of the opacity where `gray`.
        white: The value that becomes 255.
        gray: Whether the image is of gray values with an opacity.
    """
    bytes_above, bytes_below = np.asarray(high, np.uint16), np.asarray(low, np.uint16)
    if gray:
        bytes_below = bytes_below[..., [1, 1, 1, 3]]
    values = np.minimum(((bytes_above << 8) | bytes_below) * np.float32(255 / white), 255)
    # What is opaque does not depend on what is white.
    values[..., 3:] = bytes_above[..., 3:]
    return Image.fromarray(np.round(values).astype(np.uint8), high.mode)


def misread(sources: Iterable[Source]) -> Iterator[str]:
    """What to say of images that came out too dark, or too light, since nothing tells which value is white in them."""
    known = [(source.name, source.levels) for source in sources if source.levels is not None]
    over = {name: levels for name, levels in known if levels.highest > (1 + SLACK) * levels.white}
    if over:
        levels = max(over.values(), key=lambda each: each.highest)
        yield (
            f"{_named(list(over))} {'has' if len(over) == 1 else 'have'} values up to {levels.highest:,g}, above the "
            f"white level of {levels.white:,g} (--input-white-level); they were clipped to it."
        )
    guessed = [(name, levels) for name, levels in known if not levels.told and levels.white > 1]
    # A dark picture among others that are bright is a dark picture.
    if guessed and all(levels.highest < levels.white / 2 for _, levels in guessed):
        highest, white = max((levels.highest, levels.white) for _, levels in guessed)
        bits = next((bits for bits in BITS if highest <= 2**bits - 1), 16)
        remedy = (
            f"If they hold {bits}-bit data, say so: --input-white-level {2**bits - 1} (white_level={2**bits - 1})"
            if white == WHITE
            else "If another value is white, say it with --input-white-level (white_level)"
        )
        yield (
            f"The highest value of {_named([name for name, _ in guessed])} is {highest:,.6g}, but {white:,g} was taken for "
            f"white. {remedy if len(guessed) > 1 else remedy.replace('they hold', 'it holds')}."
        )


def _named(names: list[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{', '.join(names[:NAMED])}{more}"
