"""Converts the values of settings from JSON, Python or text, with one function for each kind of value.

The functions raise ValueError or TypeError for invalid values.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from cnnexplain.errors import UsageError
from cnnexplain.loading import class_index

CHANNELS = 4096
"""The maximum number of channels of an input."""

LONGEST = 40
"""The maximum number of characters of a unit."""

LARGEST = 8192
"""The maximum number of rows or columns of an input."""

TRUTHS = ("true", "false")
"""The text form of booleans."""


def number(value: Any) -> float:
    """A finite number, or a fraction such as "1/255"."""
    if isinstance(value, str):
        numerator, _, denominator = value.partition("/")
        number = float(numerator) / float(denominator or 1) if float(denominator or 1) else math.inf
    elif isinstance(value, int | float) and not isinstance(value, bool):
        number = float(value)
    else:
        raise TypeError
    if not math.isfinite(number):
        raise ValueError
    return number


def positive(value: Any) -> float:
    """A number above 0."""
    converted = number(value)
    if converted <= 0:
        raise ValueError
    return converted


def numbers(value: Any) -> tuple[float, ...]:
    """One number or several, also as text such as "0.5,0.4,0.3"."""
    # With or without brackets, as in JSON or as an option.
    values = value.strip("[] ").split(",") if isinstance(value, str) else value
    numbers = tuple(map(number, values)) if isinstance(values, list | tuple) else (number(values),)
    if not 1 <= len(numbers) <= CHANNELS:
        raise ValueError
    return numbers


def deviations(value: Any) -> tuple[float, ...]:
    """Numbers above 0."""
    return tuple(map(positive, numbers(value)))


def size(value: Any) -> tuple[int, int]:
    """Rows and columns, given as one number or two, or as text such as "224x160"."""
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,5}([x×][0-9]{1,5})?", value):
        value = [int(side) for side in re.split("[x×]", value)]
    sides = value if isinstance(value, list | tuple) else [value]
    if len(sides) not in (1, 2) or not all(type(side) is int and 1 <= side <= LARGEST for side in sides):
        raise ValueError
    return sides[0], sides[-1]


def bands(value: Any) -> tuple[int, ...]:
    """The bands to show, one or three."""
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,4}(,[0-9]{1,4})*", value):
        value = [int(band) for band in value.split(",")]
    bands = value if isinstance(value, list | tuple) else [value]
    if len(bands) not in (1, 3) or not all(type(band) is int and 0 <= band < CHANNELS for band in bands):
        raise ValueError
    return tuple(bands)


def text(value: Any) -> str:
    """A short text on one line."""
    if not isinstance(value, str) or not value.strip() or not value.isprintable() or len(value) > LONGEST:
        raise ValueError
    return value.strip()


def share(value: Any) -> float:
    """A number above 0 and up to 1."""
    share = positive(value)
    if share > 1:
        raise ValueError
    return share


def labels(value: Any) -> tuple[str, ...] | str:
    """The names of classes, or the name of a file that contains them."""
    if isinstance(value, str) and value:
        return value
    try:
        return class_index.names(value)
    except (TypeError, ValueError) as error:
        if isinstance(value, Mapping):
            raise UsageError(f"The labels are not a class index: {error}. {class_index.EXPECTED}") from error
        raise


def figures(value: Any) -> dict[str, Any]:
    """Numbers and texts by name."""
    if not isinstance(value, Mapping) or not all(isinstance(name, str) and name.strip() for name in value):
        raise TypeError
    if not all(isinstance(figure, str | int | float) for figure in value.values()):
        raise TypeError
    return {name: figure if isinstance(figure, str) else number(figure) for name, figure in value.items()}


def fixed(value: Any) -> dict[str, Any]:
    """Numbers for each input by name, in lists or as text, or the name of a file."""
    if not isinstance(value, Mapping) or not all(isinstance(name, str) and name.strip() for name in value):
        raise TypeError
    pending = list(value.values())
    while pending:
        item = pending.pop()
        # Numbers in nested lists, numbers as text, or the name of a file.
        if isinstance(item, list | tuple):
            pending += item
        elif not isinstance(item, int | float | str) or item != item or item in (math.inf, -math.inf, ""):
            raise ValueError
    return dict(value)


def truth(value: Any) -> bool:
    """True or False, also as text: "true" or "false"."""
    if isinstance(value, str) and value in TRUTHS:
        return value == "true"
    if not isinstance(value, bool):
        raise TypeError
    return value


def word(words: tuple[str, ...]) -> Callable[[Any], str]:
    """Returns a function that accepts one of a few words."""

    def read(value: Any) -> str:
        if value not in words:
            raise ValueError
        return str(value)

    return read
