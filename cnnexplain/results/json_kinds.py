"""Kinds of JSON values, and how they are put together: each sees that a value is of it, and says what is there instead."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Mapping
from typing import Any

Kind = Callable[[Any, str], None]
"""Sees that a value, called by its place, is of a kind.

Raises:
    DamageError: It is not.
"""


class DamageError(ValueError):
    """What is wrong with a file, in a few words."""


def _wrong(value: Any, place: str, expected: str) -> DamageError:
    found = "nothing" if value is None else f"{json.dumps(value)!s:.40}" if not isinstance(value, dict | list) else ""
    found = found or ("a list" if isinstance(value, list) else "an object")
    return DamageError(f"{place or 'it'} is {found} in place of {expected}")


def of(expected: str, fits: Callable[[Any], bool]) -> Kind:
    """The kind of the values that fit."""

    def check(value: Any, place: str) -> None:
        if not fits(value):
            raise _wrong(value, place, expected)

    return check


def is_real(value: Any, low: float = -math.inf, high: float = math.inf) -> bool:
    """Whether a value is a number of that range."""
    return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high


def is_natural(value: Any) -> bool:
    """Whether a value is a whole number from 0 on that floating-point numbers hold exactly."""
    return is_real(value, 0, 2**53) and isinstance(value, int)


def or_none(kind: Kind) -> Kind:
    """That kind, or nothing."""

    def check(value: Any, place: str) -> None:
        if value is not None:
            kind(value, place)

    return check


def list_of(kind: Kind) -> Kind:
    """Any number of values of a kind."""

    def check(value: Any, place: str) -> None:
        if not isinstance(value, list):
            raise _wrong(value, place, "a list")
        for number, each in enumerate(value):
            kind(each, f"{place}[{number}]")

    return check


def by_name(kind: Kind) -> Kind:
    """An object with any keys whose values are of a kind."""

    def check(value: Any, place: str) -> None:
        if not isinstance(value, dict):
            raise _wrong(value, place, "an object")
        for name, each in value.items():
            kind(each, f"{place}[{name!r:.40}]")

    return check


def fields(needed: Mapping[str, Kind], later: Mapping[str, Kind]) -> Kind:
    """An object with these keys; those that earlier versions do not write may be missing."""

    def check(value: Any, place: str) -> None:
        if not isinstance(value, dict):
            raise _wrong(value, place, "an object")
        missing = [name for name in needed if name not in value]
        if missing:
            raise DamageError(f"'{missing[0]}' is missing" + (f" in {place}" if place else ""))
        for name, kind in itertools.chain(needed.items(), later.items()):
            if name in value:
                kind(value[name], f"{place}['{name}']" if place else f"'{name}'")

    return check


def unique(kind: Kind) -> Kind:
    """A list of values of a kind, none of them twice."""

    def check(value: Any, place: str) -> None:
        list_of(kind)(value, place)
        if len(set(value)) != len(value):
            raise DamageError(f"{place} has something twice")

    return check
