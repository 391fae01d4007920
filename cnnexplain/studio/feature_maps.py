"""Outputs of layers as bytes for a page: each feature map from 0 (its lowest value) to 255 (its highest)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float32, UInt8

LEVELS = 255


def packed(output: Float32[np.ndarray, "h w F"], most: int, side: int) -> tuple[dict[str, Any], UInt8[np.ndarray, "f r c"]]:
    """The first maps of a layer.

    Args:
        output: The layer's output for an image.
        most: The most maps to return.
        side: The most rows and columns of a map; larger maps are reduced to means of square blocks.

    Returns:
        Their description: the number of all maps, "rows" and "columns" of those returned, the "block" side, and the "low"
        and "high" values of each; and the bytes, map by map.
    """
    maps = output[..., :most].transpose(2, 0, 1)
    block = -(-max(maps.shape[1:]) // side)
    if block > 1:
        maps = block_means(maps, block)
    finite = np.nan_to_num(maps)
    low, high = (extreme(finite, axis=(1, 2)) for extreme in (np.min, np.max))
    span = np.where(high > low, high - low, 1)
    levels = np.rint((finite - low[:, None, None]) * (LEVELS / span)[:, None, None]).astype(np.uint8)
    facts = {"maps": output.shape[-1], "rows": maps.shape[1], "columns": maps.shape[2], "block": block}
    return {**facts, "low": low.tolist(), "high": high.tolist()}, levels


def block_means(maps: Float32[np.ndarray, "F h w"], block: int) -> Float32[np.ndarray, "F r c"]:
    """The means of square blocks of each map; those at the end may be smaller."""
    rows, columns = (np.arange(0, size, block) for size in maps.shape[1:])
    sums = np.add.reduceat(np.add.reduceat(maps, rows, axis=1), columns, axis=2)
    heights, widths = (np.diff([*starts, size]) for starts, size in zip((rows, columns), maps.shape[1:], strict=True))
    return np.asarray(sums / np.outer(heights, widths), np.float32)
