"""Encodes maps for pages: quantized and compressed, with the parameters that the page's script needs."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnexplain.numerics.interpolation import averaged
from cnnexplain.rendering.templates import encoded

if TYPE_CHECKING:
    from jaxtyping import Int64, Real


FINE, COARSE, PAINT = 16, 8, 8
"""Bits to which maps are quantized: normally, if they are noisy (and compress badly), and if they are only displayed."""

GRAIN, SMALL = 0.7, 12_000
"""Compressed bytes per pixel above which a map counts as noisy, and the bytes of a map up to which that does not matter."""


def packed(values: Real[np.ndarray, "H W"]) -> dict[str, Any]:
    """A map quantized to 16 bits of its range, or to 8 if it is noisy and would take much space.

    Args:
        values: (H, W), finite numbers.

    Returns:
        `low` and `step`: a value is low + step × code. Zero stays exact if there are values on both sides of it.
        `data`: The codes, all low bytes before all high bytes, compressed with deflate, as Base64.
        `differences`: Whether the codes are differences along rows, then along columns, modulo 2¹⁶.
    """
    fine = _packed(values, FINE)
    return fine if len(fine["data"]) * 3 / 4 <= max(GRAIN * values.size, SMALL) else _packed(values, COARSE)


def painted(values: Real[np.ndarray, "H W"]) -> dict[str, Any]:
    """A map (H, W) quantized to 8 bits of its range: enough for display, not for reading values.

    Returns:
        As `packed`, for the means of blocks of `block` × `block` pixels: 1, or 2 if it would take much space.
    """
    whole = _packed(values, PAINT)
    if len(whole["data"]) * 3 / 4 <= SMALL / 2:
        return {**whole, "block": 1}
    return {**_packed(averaged(values[None], 2)[0], PAINT), "block": 2}


def _packed(values: Real[np.ndarray, "H W"], bits: int) -> dict[str, Any]:
    numbers = values.astype(np.float64)
    # One step fewer than there are codes leaves room to shift the range so that zero is a code.
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


def _planes(codes: Int64[np.ndarray, "H W"]) -> bytes:
    whole = codes.astype(np.uint16)
    return zlib.compress((whole & 255).astype(np.uint8).tobytes() + (whole >> 8).astype(np.uint8).tobytes(), 9)
