"""The values of what users write of a model's input and labels: each function reads one kind, from JSON, Python or a text.

They raise ValueError or TypeError for anything else.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from cnnexplain.errors import UsageError
from cnnexplain.loading import class_index

CHANNELS = 4096
"""The greatest number of channels that an input is given."""

LONGEST = 40
"""How many characters a unit has at most."""

LARGEST = 8192
"""The greatest number of rows or columns that an input is given."""

TRUTHS = ("true", "false")
"""How truth values are typed."""


def number(value: Any) -> float:
    """A finite number; "1/255" is one, too."""
    if isinstance(value, str):
        above, _, below = value.partition("/")
        number = float(above) / float(below or 1) if float(below or 1) else math.inf
    elif isinstance(value, int | float) and not isinstance(value, bool):
        number = float(value)
    else:
        raise TypeError
    if not math.isfinite(number):
        raise ValueError
    return number


def positive(value: Any) -> float:
    """A number above 0."""
    found = number(value)
    if found <= 0:
        raise ValueError
    return found


def numbers(value: Any) -> tuple[float, ...]:
    """One number or several; "0.5,0.4,0.3", too."""
    # As it is typed, and as JSON has it.
    values = value.strip("[] ").split(",") if isinstance(value, str) else value
    numbers = tuple(map(number, values)) if isinstance(values, list | tuple) else (number(values),)
    if not 1 <= len(numbers) <= CHANNELS:
        raise ValueError
    return numbers


def deviations(value: Any) -> tuple[float, ...]:
    """Numbers above 0."""
    return tuple(map(positive, numbers(value)))


def size(value: Any) -> tuple[int, int]:
    """Rows and columns, of one number or two; "224x160", too."""
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,5}([x×][0-9]{1,5})?", value):
        value = [int(side) for side in re.split("[x×]", value)]
    sides = value if isinstance(value, list | tuple) else [value]
    if len(sides) not in (1, 2) or not all(type(side) is int and 1 <= side <= LARGEST for side in sides):
        raise ValueError
    return sides[0], sides[-1]


def bands(value: Any) -> tuple[int, ...]:
    """Which bands are shown, one or three."""
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,4}(,[0-9]{1,4})*", value):
        value = [int(band) for band in value.split(",")]
    bands = value if isinstance(value, list | tuple) else [value]
    if len(bands) not in (1, 3) or not all(type(band) is int and 0 <= band < CHANNELS for band in bands):
        raise ValueError
    return tuple(bands)


def text(value: Any) -> str:
    """A short text in one line."""
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
    """The names of classes, or the name of a file with them."""
    if isinstance(value, str) and value:
        return value
    try:
        return class_index.names(value)
    except (TypeError, ValueError) as error:
        if isinstance(value, Mapping):
            raise UsageError(f"The labels are no class index: {error}. {class_index.EXPECTED}") from error
        raise


def figures(value: Any) -> dict[str, Any]:
    """Numbers and texts by name."""
    if not isinstance(value, Mapping) or not all(isinstance(name, str) and name.strip() for name in value):
        raise TypeError
    if not all(isinstance(figure, str | int | float) for figure in value.values()):
        raise TypeError
    return {name: figure if isinstance(figure, str) else number(figure) for name, figure in value.items()}


def fixed(value: Any) -> dict[str, Any]:
    """Of each input by name numbers, in lists or as a text, or the name of a file."""
    if not isinstance(value, Mapping) or not all(isinstance(name, str) and name.strip() for name in value):
        raise TypeError
    left = list(value.values())
    while left:
        each = left.pop()
        # Numbers in lists within lists, a text of numbers, or the name of a file with them.
        if isinstance(each, list | tuple):
            left += each
        elif not isinstance(each, int | float | str) or each != each or each in (math.inf, -math.inf, ""):
            raise ValueError
    return dict(value)


def truth(value: Any) -> bool:
    """True or False; "true" or "false", too."""
    if isinstance(value, str) and value in TRUTHS:
        return value == "true"
    if not isinstance(value, bool):
        raise TypeError
    return value


def word(known: tuple[str, ...]) -> Callable[[Any], str]:
    """What reads one of a few words."""

    def read(value: Any) -> str:
        if value not in known:
            raise ValueError
        return str(value)

    return read
