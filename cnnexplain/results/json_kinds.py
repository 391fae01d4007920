"""Kinds of JSON values: functions that check a value, and combinations of them."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Mapping
from typing import Any

from cnnexplain.results.damage import DamageError
from cnnexplain.results.file_names import is_ours

LONGEST = 10_000
"""Maximum number of characters of a name, such as that of an image or a class."""

Kind = Callable[[Any, str], None]
"""Checks a value; the second argument is its place in the file, for the error message.

Raises:
    DamageError: The value is not of this kind.
"""


def wrong(value: Any, place: str, expected: str) -> DamageError:
    """The error for a value that is not of the expected kind."""
    description = "nothing" if value is None else f"{json.dumps(value)!s:.40}" if not isinstance(value, dict | list) else ""
    description = description or ("a list" if isinstance(value, list) else "an object")
    return DamageError(f"{place or 'it'} is {description} instead of {expected}")


def of(expected: str, fits: Callable[[Any], bool]) -> Kind:
    """The kind of the values for which `fits` is true, described for error messages."""

    def check(value: Any, place: str) -> None:
        if not fits(value):
            raise wrong(value, place, expected)

    return check


def is_number(value: Any, low: float = -math.inf, high: float = math.inf) -> bool:
    """Whether a value is a number from `low` to `high`."""
    return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high


def is_count(value: Any) -> bool:
    """Whether a value is a whole number of at least 0 that a JSON number represents exactly."""
    return is_number(value, 0, 2**53) and isinstance(value, int)


def optional(kind: Kind) -> Kind:
    """That kind, or null."""

    def check(value: Any, place: str) -> None:
        if value is not None:
            kind(value, place)

    return check


def list_of(kind: Kind) -> Kind:
    """A list of values of a kind."""

    def check(value: Any, place: str) -> None:
        if not isinstance(value, list):
            raise wrong(value, place, "a list")
        for number, each in enumerate(value):
            kind(each, f"{place}[{number}]")

    return check


def by_name(kind: Kind) -> Kind:
    """An object with any keys whose values are of a kind."""

    def check(value: Any, place: str) -> None:
        if not isinstance(value, dict):
            raise wrong(value, place, "an object")
        for name, each in value.items():
            kind(each, f"{place}[{name!r:.40}]")

    return check


def fields(needed: Mapping[str, Kind], later: Mapping[str, Kind]) -> Kind:
    """An object with these keys; those in `later`, which earlier versions did not write, may be missing."""

    def check(value: Any, place: str) -> None:
        if not isinstance(value, dict):
            raise wrong(value, place, "an object")
        missing = [name for name in needed if name not in value]
        if missing:
            raise DamageError(f"'{missing[0]}' is missing" + (f" in {place}" if place else ""))
        for name, kind in itertools.chain(needed.items(), later.items()):
            if name in value:
                kind(value[name], f"{place}['{name}']" if place else f"'{name}'")

    return check


def unique(kind: Kind) -> Kind:
    """A list of different values of a kind."""

    def check(value: Any, place: str) -> None:
        list_of(kind)(value, place)
        if len(set(value)) != len(value):
            raise DamageError(f"{place} has duplicates")

    return check


def span(value: Any, place: str) -> None:
    """The kind of ranges: [start, stop]."""
    list_of(COUNT)(value, place)
    if len(value) != 2 or value[0] > value[1]:
        raise DamageError(f"{place} is not a range [start, stop]")


ANY = of("anything", lambda _: True)
TEXT = of("text", lambda value: isinstance(value, str))
NAME = of(f"text of up to {LONGEST} characters", lambda value: isinstance(value, str) and len(value) <= LONGEST)
FLAG = of("true or false", lambda value: isinstance(value, bool))
COUNT = of("a whole number of at least 0", is_count)
SIDE = of("a whole number up to a million", lambda value: is_count(value) and value <= 10**6)
NUMBER = of("a number", is_number)
SECONDS = of("a number of at least 0", lambda value: is_number(value, 0))
# A softmax in single precision may slightly exceed 1.
PROBABILITY = of("a probability", lambda value: is_number(value, 0, 1.001))
FILE_NAME = of("the name of a file of cnnexplain", lambda value: isinstance(value, str) and is_ours(value))
