"""The names of layers, in nested models "outer/inner". The graph of a model and the reader of model files agree on them."""

from __future__ import annotations

import itertools
from collections.abc import Container

LONGEST = 80
"""The longest name of a layer in characters, so that names of nested layers fit into the name of an array."""


def call_name(name: str, number: int) -> str:
    """The name of a call of a layer; from the second call on, numbered: "name:2".

    Args:
        name: The layer's name. Characters that cannot be printed, or cannot be in the name of an array, become "_"; a long
            name is cut.
        number: The number of the call, from 1, in the order of computation.
    """
    plain = "".join(each if each.isprintable() and each not in "/\\" else "_" for each in name)
    plain = f"_{plain}" if plain in ("", ".", "..") else plain
    plain = plain if len(plain) <= LONGEST else f"{plain[: LONGEST - 1]}…"
    return plain if number == 1 else f"{plain}:{number}"


def from_keras(name: str) -> str:
    """The name used here for a layer's own name in Keras, or for "outer/inner" of several."""
    return "/".join(call_name(each, 1) for each in name.split("/"))


def unused_name(name: str, used: Container[str]) -> str:
    """The name, with the first free number appended if it is already used."""
    numbered = itertools.chain([name], (f"{name}:{number}" for number in itertools.count(2)))
    return next(each for each in numbered if each not in used)
