"""Checks of arrays and facts, for the results of an analysis and for those read from files."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Shaped


ROUNDING = 1e-9
"""By how much a number may exceed its limits."""


def is_numeric(array: Shaped[np.ndarray, " ..."]) -> bool:
    """Whether an array contains numbers."""
    return array.dtype.kind in "biufc"


def is_finite(array: Shaped[np.ndarray, " ..."]) -> bool:
    """Whether none of an array's numbers is NaN or infinite."""
    return array.dtype.kind not in "fc" or bool(np.isfinite(array).all())


def is_map_of(array: Shaped[np.ndarray, " ..."], images: tuple[int, ...]) -> bool:
    """Whether an array has a real number for each pixel of images of the shape (N, H, W, C)."""
    return array.shape == images[:3] and array.dtype.kind != "c"


def are_numbers(fact: object, least: float, most: float = sys.float_info.max) -> bool:
    """Whether a fact is a list of numbers between two limits, up to rounding errors."""
    return isinstance(fact, list | tuple) and all(
        type(each) in (int, float) and least - ROUNDING <= each <= most + ROUNDING for each in fact
    )


def is_fact_of(fact: object, count: int) -> bool:
    """Whether a fact is a list with `count` entries, one per image."""
    return isinstance(fact, list | tuple) and len(fact) == count
