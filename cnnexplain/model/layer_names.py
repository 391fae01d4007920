"""The names by which layers are reached, those of nested models as "outer/inner". Twins and model files agree in them."""

from __future__ import annotations

import itertools
from collections.abc import Container

LONGEST = 80
"""Characters of a layer's name, so that with those of the models that it stands in it fits the name of an array."""


def of_call(name: str, number: int) -> str:
    """The name of a layer's call: numbered, "name:2", from the second one on.

    Args:
        name: Of the layer. What can't be printed, or can't stand in the name of an array, is "_"; a long one is cut.
        number: Of the call, from 1 on, in the order of computation.
    """
    plain = "".join(each if each.isprintable() and each not in "/\\" else "_" for each in name)
    plain = f"_{plain}" if plain in ("", ".", "..") else plain
    plain = plain if len(plain) <= LONGEST else f"{plain[: LONGEST - 1]}…"
    return plain if number == 1 else f"{plain}:{number}"


def from_keras(name: str) -> str:
    """The name by which a layer is reached, of its own name in Keras, or of "outer/inner" of several."""
    return "/".join(of_call(each, 1) for each in name.split("/"))


def free(name: str, taken: Container[str]) -> str:
    """The name, or where it is taken with the first number behind it that isn't."""
    numbered = itertools.chain([name], (f"{name}:{number}" for number in itertools.count(2)))
    return next(each for each in numbered if each not in taken)
