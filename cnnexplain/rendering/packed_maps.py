"""Maps as a page holds them: rounded to steps of their range, packed, with what the page's script needs to read them."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np

from cnnexplain.numerics.interpolation import averaged
from cnnexplain.rendering.templates import encoded
from cnnexplain.types import Array

FINE, COARSE, PAINT = 16, 8, 8
"""Bits that a map's range is divided by: 16, 8 for grain, which can't be packed, 8 for what is only seen."""

GRAIN, SMALL = 0.7, 12_000
"""The bytes of a pixel from which on a packed map is grain, and the bytes of a map up to which it doesn't matter."""


def packed(values: Array) -> dict[str, Any]:
    """A map (H, W) rounded to 16 bits of its range, or to 8 where it is grain that would fill a page.

    Args:
        values: Finite numbers.

    Returns:
        `low` and `step`: a value is low + step × its whole number. A zero stays one where values lie on both sides of it.
        `data`: The whole numbers, low bytes before high ones, deflated, in base 64.
        `differences`: Whether they are differences, modulo 2¹⁶, from the row above of differences from the pixel before.
    """
    fine = _packed(values, FINE)
    return fine if len(fine["data"]) * 3 / 4 <= max(GRAIN * values.size, SMALL) else _packed(values, COARSE)


def painted(values: Array) -> dict[str, Any]:
    """A map (H, W), as `packed` gives it, rounded to 8 bits of its range: enough to be seen, and not to be read.

    Returns:
        As `packed`, of the means of blocks of `block` × `block` pixels: 1, or 2 for what would fill a page.
    """
    whole = _packed(values, PAINT)
    if len(whole["data"]) * 3 / 4 <= SMALL / 2:
        return {**whole, "block": 1}
    return {**_packed(averaged(values[None], 2)[0], PAINT), "block": 2}


def _packed(values: Array, bits: int) -> dict[str, Any]:
    numbers = values.astype(np.float64)
    # A step less than there are leaves room for the one that brings zero onto a whole number.
    low, high = float(numbers.min()), float(numbers.max())
    step = (high - low) / (2**bits - 2)
    if low < 0 < high:
        low = -step * float(np.ceil(-low / step))
    codes = np.zeros(numbers.shape, np.int64) if step == 0 else np.rint((numbers - low) / step).astype(np.int64)
    ways = [_planes(codes), _planes(np.diff(np.diff(codes, axis=1, prepend=0), axis=0, prepend=0))]
    lengths = list(map(len, ways))
    return {
        "low": low,
        "step": step,
        "data": encoded(min(ways, key=len)),
        "differences": lengths[1] < lengths[0],
    }


def _planes(codes: Array) -> bytes:
    whole = codes.astype(np.uint16)
    return zlib.compress((whole & 255).astype(np.uint8).tobytes() + (whole >> 8).astype(np.uint8).tobytes(), 9)
