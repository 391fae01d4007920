"""The names of classes as lists and class indices have them, from JSON or Python."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

EXPECTED = 'Expected a list of names, or each with its number as in {"cat": 0, "dog": 1} or {"0": "cat", "1": "dog"}.'
"""What to say where something else is found."""


def names(said: object) -> tuple[str, ...]:
    """The names of the K classes in the order of their numbers.

    Args:
        said: A list of names; or a class index: {"cat": 0, "dog": 1}, as Keras' generators have it in `class_indices`, or
            {"0": "cat", "1": "dog"}. In the place of a name a list may stand of which it is the last, as
            ["n01440764", "tench"] of ImageNet's class index.

    Raises:
        ValueError: It is neither, a name is empty, or the numbers are not 0 to K − 1, each once. The message says which.
        TypeError: It is neither.
    """
    if isinstance(said, list | tuple):
        found = list(map(_name, said))
    elif isinstance(said, Mapping):
        found = _ordered(said)
    else:
        raise TypeError("it is neither a list of names nor a class index")
    if not found:
        raise ValueError("it is empty")
    return tuple(found)


def _ordered(said: Mapping[Any, Any]) -> list[str]:
    numbers = [_number(value) for value in said.values()]
    # Names may be digits, and numbers written as text: whole numbers are numbers first.
    by_name = None not in numbers and (not any(isinstance(value, str) for value in said.values()) or not _numbered(said))
    pairs = zip(numbers, said, strict=True) if by_name else ((_number(key), value) for key, value in said.items())
    places: dict[int, str] = {}
    for number, name in pairs:
        if number is None:
            raise ValueError(f"{str(name)[:40]!r} has no number")
        if number in places:
            raise ValueError(f"the number {number} stands for {places[number]!r} and for {_name(name)!r}")
        places[number] = _name(name)
    missing = next((number for number in range(len(places)) if number not in places), None)
    if missing is not None:
        raise ValueError(f"{len(places)} classes have the numbers 0 to {len(places) - 1}, but {missing} is missing")
    return [places[number] for number in range(len(places))]


def _numbered(said: Mapping[Any, Any]) -> bool:
    return all(_number(key) is not None for key in said)


def _number(value: object) -> int | None:
    """A class number, as a number or written as text."""
    if isinstance(value, str):
        return int(value) if value.isascii() and value.isdigit() and len(value) < 10 else None
    # NumPy's whole numbers are ones too.
    return None if isinstance(value, bool) or not hasattr(value, "__index__") else value.__index__()


def _name(value: Any) -> str:
    if isinstance(value, list | tuple) and value:
        value = value[-1]
    if not isinstance(value, str):
        raise TypeError(f"{str(value)[:40]!r} is no name")
    if not value.strip():
        raise ValueError("a name is empty")
    return value
