"""The source of an image, and how it was changed to become a model's input."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Levels:
    """The range of values of a file with more than 8 bits.

    Args:
        highest: The highest value in the file.
        white: The value used as white.
        declared: Whether the file or the user declares this value, so that it is not a guess.
    """

    highest: float
    white: float
    declared: bool


@dataclass(frozen=True)
class Source:
    """The source of an image, and how it was changed.

    Args:
        name: The name given by the user: a path, a sample, or "array[3]".
        sha256: The hash of the file's bytes, of the sample's raw pixels, or of the array's numbers.
        inverted: Whether dark and light were swapped.
        resized: Whether it was cropped or resized to the input size.
        photograph: Whether it looks like a photograph, although the model takes other images (see `Preprocess.preset`).
        levels: The range of values of a file with more than 8 bits; None for other files.
    """

    name: str
    sha256: str
    inverted: bool = False
    resized: bool = False
    photograph: bool = False
    levels: Levels | None = None
