"""Checks the arguments of a `Preprocess`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, get_args

import numpy as np

from cnnexplain.errors import UsageError, shown, suggest
from cnnexplain.inputs.literals import Color, Fit, Interpolation

WORDS = {"color": get_args(Color), "fit": get_args(Fit), "interpolation": get_args(Interpolation)}
"""The arguments that take one of a few words."""


def word(name: str, value: object) -> None:
    """Checks an argument of `WORDS`.

    Raises:
        UsageError: The value is not one of the words.
    """
    if not isinstance(value, str) or value not in WORDS[name]:
        near = suggest(value, WORDS[name])
        raise UsageError(f"Preprocess takes one of {', '.join(WORDS[name])} as {name}, but got {shown(value)}.{near}")


def count(name: str, value: object) -> None:
    """Checks a number of rows, columns or bands.

    Raises:
        UsageError: The value is not an integer of at least 1.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise UsageError(f"Preprocess takes an integer of at least 1 as {name}, but got {shown(value)}.")


def bands(color: str, number: object, show_bands: Sequence[Any] | None) -> None:
    """Checks the number of bands, and the bands to show.

    Raises:
        UsageError: They do not fit together, or not to the color.
    """
    if (color == "bands") != (number is not None):
        raise UsageError("Preprocess takes a number of bands if, and only if, the color is 'bands'.")
    if number is not None:
        count("bands", number)
    if show_bands is None:
        return
    if not isinstance(number, int):
        raise UsageError(f"Preprocess takes show_bands only if the color is 'bands', but it is '{color}'.")
    if len(show_bands) not in (1, 3) or not all(type(band) is int and 0 <= band < number for band in show_bands):
        raise UsageError(
            f"Preprocess takes one or three bands from 0 to {number - 1} as show_bands, but got "
            f"{', '.join(map(str, show_bands))}."
        )


def per_channel(name: str, values: object, channels: int) -> tuple[float, ...]:
    """The numbers for all channels (one) or for each.

    Raises:
        UsageError: They are not finite, or too many or few.
    """
    numbers: Sequence[Any] = list(values) if isinstance(values, Sequence | np.ndarray) else [values]
    if not all(map(is_finite, numbers)) or len(numbers) not in (1, channels):
        each = f", or one for each of the {channels} channels," if channels > 1 else ""
        raise UsageError(f"Preprocess takes one finite number{each} as {name}, but got {shown(values)}.")
    return tuple(map(float, numbers))


def scaling(scale: Any, std: Sequence[float]) -> None:
    """Checks the factor and the divisors.

    Raises:
        UsageError: One of them is not a finite number above 0.
    """
    if not is_finite(scale) or scale <= 0 or min(std) <= 0:
        raise UsageError(f"Preprocess takes numbers above 0 as scale and std, but got {shown(scale)} and {std}.")


def resizing(fit: str, crop: Any, antialias: object) -> None:
    """Checks how images are resized.

    Raises:
        UsageError: A value is invalid, or a crop is given for another fit.
    """
    if not is_finite(crop) or not 0 < crop <= 1:
        raise UsageError(f"Preprocess takes a number above 0 and up to 1 as crop, but got {shown(crop)}.")
    if not isinstance(antialias, bool):
        raise UsageError(f"Preprocess takes True or False as antialias, but got {shown(antialias)}.")
    if crop != 1 and fit != "crop":
        raise UsageError(f"Preprocess takes a crop of {crop:g} only with the fit 'crop', but the fit is '{fit}'.")


def white_level(value: Any) -> None:
    """Checks the value of white.

    Raises:
        UsageError: It is neither None nor a finite number above 0.
    """
    if value is not None and (not is_finite(value) or value <= 0):
        raise UsageError(f"Preprocess takes a number above 0 as white_level, but got {shown(value)}.")


def input_range(low: float, high: float) -> None:
    """Checks the range of inputs.

    Raises:
        UsageError: It is not finite.
    """
    if not math.isfinite(low) or not math.isfinite(high):
        raise UsageError(f"With this scale, mean and std, inputs range from {low:g} to {high:g}; expected finite numbers.")


def is_finite(value: object) -> bool:
    """Whether a value is a finite real number."""
    if not isinstance(value, int | float | np.number) or isinstance(value, bool | np.complexfloating):
        return False
    try:
        return math.isfinite(value)
    # An integer may be larger than all floating-point numbers.
    except OverflowError:
        return False
