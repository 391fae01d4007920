"""Encodes maps for pages: quantized and compressed, with the parameters that the page's script needs."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnexplain.draw import percentile_limit
from cnnexplain.numerics.interpolation import averaged
from cnnexplain.rendering.templates import encoded

if TYPE_CHECKING:
    from jaxtyping import Float64, Int64, Real


FINE, SHOWN, PAINTED = 2**16, (256, 128, 64, 32), (256, 64)
"""Numbers of quantization steps: in the range of a map, and from 0 to the end of its color scale; the last ones are for maps
that are only displayed."""

SMALL, TINY = 8_000, 6_000
"""Compressed bytes of a map above which its values are rounded further, and of one that is only displayed."""


def packed(values: Real[np.ndarray, "H W"]) -> dict[str, Any]:
    """A map, quantized to 16 bits of its range, or coarser so that it fits into about `SMALL` bytes.

    At the coarsest, there are 32 steps from 0 to the end of the color scale. The noisy map of a photograph (224×224) has
    these and takes 25 kB.

    Args:
        values: (H, W), finite numbers.

    Returns:
        `low` and `step`: a value is low + step × code. Zero stays exact if there are values on both sides of it.
        `data`: The codes, compressed with deflate, as Base64: a byte for each or, if there are larger ones, all low bytes
            before all high bytes.
        `differences`: Whether the codes are differences along rows, then along columns, modulo 2⁸ or 2¹⁶.
    """
    numbers = values.astype(np.float64)
    finest = _finest(numbers)
    fine = _packed(numbers, finest)
    if len(fine["data"]) * 3 / 4 <= SMALL:
        return fine
    steps = [max(finest, percentile_limit(numbers) / count) for count in SHOWN]
    return _packed(numbers, next((step for step in steps if _expected_bytes(numbers, step) <= SMALL), steps[-1]))


def painted(values: Real[np.ndarray, "H W"]) -> dict[str, Any]:
    """A map (H, W) quantized to 256 or 64 steps of its color scale: enough for display, not for reading values.

    Returns:
        As `packed`, for the means of blocks of `block` × `block` pixels: 1, or 2 if it would take much space.
    """
    numbers = values.astype(np.float64)
    for count in PAINTED:
        step = max(_finest(numbers), percentile_limit(numbers) / count)
        if _expected_bytes(numbers, step) <= TINY:
            return {**_packed(numbers, step), "block": 1}
    return {**_packed(averaged(numbers[None], 2)[0].astype(np.float64), step), "block": 2}


def _finest(numbers: Float64[np.ndarray, "H W"]) -> float:
    # One step fewer than there are codes leaves room to shift the range so that zero is a code.
    return float(np.ptp(numbers)) / (FINE - 2)


def _expected_bytes(numbers: Float64[np.ndarray, "H W"], step: float) -> float:
    """The size of a map after compression, from the entropy of the codes or their differences."""
    codes = _codes(numbers, step)[1]
    return min(_entropy(codes), _entropy(_differences(codes))) * codes.size / 8


def _entropy(codes: Int64[np.ndarray, "H W"]) -> float:
    """Bits per code."""
    shares = np.unique(codes, return_counts=True)[1] / codes.size
    return float(-(shares * np.log2(shares)).sum())


def _codes(numbers: Float64[np.ndarray, "H W"], step: float) -> tuple[float, Int64[np.ndarray, "H W"]]:
    """The value of code 0, and the codes."""
    low, high = float(numbers.min()), float(numbers.max())
    if low == high:
        return low, np.zeros(numbers.shape, np.int64)
    if low < 0 < high:
        low = -step * float(np.ceil(-low / step))
    return low, np.rint((numbers - low) / step).astype(np.int64)


def _packed(numbers: Float64[np.ndarray, "H W"], step: float) -> dict[str, Any]:
    low, codes = _codes(numbers, step)
    largest = int(codes.max())
    ways = [_compressed(each, largest) for each in (codes, _differences(codes))]
    return {
        "low": low,
        "step": step if largest else 0.0,
        "data": encoded(min(ways, key=len)),
        "differences": len(ways[1]) < len(ways[0]),
    }


def _differences(codes: Int64[np.ndarray, "H W"]) -> Int64[np.ndarray, "H W"]:
    return np.diff(np.diff(codes, axis=1, prepend=0), axis=0, prepend=0)


def _compressed(codes: Int64[np.ndarray, "H W"], largest: int) -> bytes:
    planes = [codes & 255] if largest < 2**8 else [codes & 255, codes >> 8 & 255]
    data = np.stack(planes).astype(np.uint8).tobytes()
    # In noise, the references to repetitions take more bytes than they save.
    return min((_deflated(data, strategy) for strategy in (zlib.Z_DEFAULT_STRATEGY, zlib.Z_HUFFMAN_ONLY)), key=len)


def _deflated(data: bytes, strategy: int) -> bytes:
    compressor = zlib.compressobj(strategy=strategy)
    return compressor.compress(data) + compressor.flush()
