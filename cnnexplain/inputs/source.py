"""Where an image came from, and what was done to it on the way to a model's input."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Levels:
    """The values of a file of more than 8 bits.

    Args:
        highest: The highest of them.
        white: What was taken for white.
        told: Whether the file or the user says that it is.
    """

    highest: float
    white: float
    told: bool


@dataclass(frozen=True)
class Source:
    """Where an image came from and what was done to it.

    Args:
        name: As the user gave it: a path, a sample's name, or "array[3]".
        sha256: Of the file's bytes, of the sample's raw pixels, or of the array's numbers.
        inverted: Dark and light were swapped.
        resized: It was cut or resized to the model's input.
        photograph: It looks like a photograph, and was read for a model of digits.
        levels: Of a file of more than 8 bits.
    """

    name: str
    sha256: str
    inverted: bool = False
    resized: bool = False
    photograph: bool = False
    levels: Levels | None = None
