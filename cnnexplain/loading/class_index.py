"""Reads the names of classes from lists and class indices, as in JSON or Python."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

EXPECTED = 'Expected a list of names, or each with its number as in {"cat": 0, "dog": 1} or {"0": "cat", "1": "dog"}.'
"""The end of an error message about anything else."""


def names(labels: object) -> tuple[str, ...]:
    """The names of the K classes in the order of their numbers.

    Args:
        labels: A list of names; or a class index: {"cat": 0, "dog": 1}, like `class_indices` of Keras' generators, or
            {"0": "cat", "1": "dog"}. Instead of a name there may be a list whose last item is the name, such as
            ["n01440764", "tench"] in the class index of ImageNet.

    Raises:
        ValueError: A name is empty, or the numbers are not 0 to K − 1, each once.
        TypeError: `labels` is neither a list of names nor a class index.
    """
    if isinstance(labels, list | tuple):
        ordered = list(map(_name, labels))
    elif isinstance(labels, Mapping):
        ordered = _ordered(labels)
    else:
        raise TypeError("it is neither a list of names nor a class index")
    if not ordered:
        raise ValueError("it is empty")
    return tuple(ordered)


def _ordered(index: Mapping[Any, Any]) -> list[str]:
    numbers = [_number(value) for value in index.values()]
    # Names may consist of digits, and numbers may be strings. If in doubt, integers are numbers.
    by_name = None not in numbers and (
        not any(isinstance(value, str) for value in index.values()) or any(_number(key) is None for key in index)
    )
    pairs = zip(numbers, index, strict=True) if by_name else ((_number(key), value) for key, value in index.items())
    by_number: dict[int, str] = {}
    for number, name in pairs:
        if number is None:
            raise ValueError(f"{str(name)[:40]!r} has no number")
        if number in by_number:
            raise ValueError(f"the number {number} is that of {by_number[number]!r} and of {_name(name)!r}")
        by_number[number] = _name(name)
    missing = next((number for number in range(len(by_number)) if number not in by_number), None)
    if missing is not None:
        raise ValueError(f"{len(by_number)} classes need the numbers 0 to {len(by_number) - 1}, but {missing} is missing")
    return [by_number[number] for number in range(len(by_number))]


def _number(value: object) -> int | None:
    """The number of a class, given as an integer or a string."""
    if isinstance(value, str):
        return int(value) if value.isascii() and value.isdigit() and len(value) < 10 else None
    # Includes NumPy's integers.
    return None if isinstance(value, bool) or not hasattr(value, "__index__") else value.__index__()


def _name(value: Any) -> str:
    if isinstance(value, list | tuple) and value:
        value = value[-1]
    if not isinstance(value, str):
        raise TypeError(f"{str(value)[:40]!r} is not a name")
    if not value.strip():
        raise ValueError("a name is empty")
    return value
