"""Which place of feature maps each value of a tensor represents, and how to find it for layers that are not Keras' own."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnexplain.interruption import check_interrupted
from cnnexplain.model.structure.graph import Call
from cnnexplain.model.structure.rearrangements import evaluated

if TYPE_CHECKING:
    from jaxtyping import Bool, Float32, Shaped

MOST_OTHERS = 8
"""The most tokens without a place, such as class tokens, that a layer is assumed to add to its patches."""


@dataclass(frozen=True, eq=False)
class Places:
    """The places that the values of a tensor represent, for one image.

    Args:
        width: The number of columns of the feature maps.
        numbers: 1 + row · width + column for each value, 0 for values without a place; None if it is not known. The first
            axis is longer than 1 if windows of an image are stacked along the axis of images.
        items: The length of that axis.
    """

    width: int
    numbers: Shaped[np.ndarray, "items ..."] | None
    items: int = 1


def merged_blocks(places: Places) -> Places | None:
    """Places such that all values along the last axis represent the same one.

    If they represent a block of places, the blocks become the new places. None if they represent other places, or if all of
    them represent all places.
    """
    if places.numbers is None or (places.numbers == places.numbers[..., :1]).all():
        return places
    numbers = places.numbers.astype(int) - 1
    none = (numbers < 0).all(axis=-1)
    if ((numbers < 0).any(axis=-1) != none).any():
        return None
    rows, columns = np.divmod(numbers, places.width)
    (top, heights), (left, widths) = ((each.min(axis=-1), np.ptp(each, axis=-1) + 1) for each in (rows, columns))
    heights, widths = heights[~none], widths[~none]
    height, width = int(heights[0]), int(widths[0])
    if (heights != height).any() or (widths != width).any() or places.width % width or places.width == width:
        return None
    if (top[~none] % height).any() or (left[~none] % width).any():
        return None
    blocks = np.where(none, 0, 1 + top // height * (places.width // width) + left // width)
    return Places(places.width // width, blocks[..., None].astype(np.float32), places.items)


def probed_places(call: Call, output: Any, given: Places | None) -> Places | None:
    """The places of the tokens that a layer which is not Keras' own returns, found by changing its input; None if unknown.

    Args:
        call: A call with one source.
        output: Its symbolic output (N, T, C).
        given: The places of its input.
    """
    try:
        return _patches(call, output) if len(call.sources[0].shape) == 4 else _extended(call, given)
    # Such a layer may accept whole images only, or raise any error.
    except Exception as error:  # noqa: BLE001
        check_interrupted(error)
        return None


def _patches(call: Call, output: Any) -> Places | None:
    """The places of tokens that a layer computes from feature maps, as square patches.

    One band of rows or columns after the other is changed. A token that never changes has no place.
    """
    (source,), tokens = call.sources, output.shape[1]
    height, width = source.shape[1:3]
    x = np.random.default_rng(0).normal(size=(1, *source.shape[1:])).astype(np.float32)
    for others in range(min(tokens or 0, MOST_OTHERS)):
        rows = max(1, math.isqrt((tokens - others) * height // width))
        columns = (tokens - others) // rows
        if rows * columns != tokens - others or height % rows or width % columns or rows * columns < 2:
            continue
        images = np.repeat(x, 1 + rows + columns, axis=0)
        for row in range(rows):
            images[1 + row, row * height // rows : (row + 1) * height // rows] += 1
        for column in range(columns):
            images[1 + rows + column, :, column * width // columns : (column + 1) * width // columns] += 1
        changed = _changed(call, images)
        none = ~changed.any(axis=0)
        unique = [(each.sum(axis=0) == ~none).all() for each in (changed[:rows], changed[rows:])]
        if none.sum() == others and all(unique):
            numbers = 1 + changed[:rows].argmax(axis=0) * columns + changed[rows:].argmax(axis=0)
            return Places(columns, np.where(none, 0, numbers)[None, :, None].astype(np.float32))
    return None


def _extended(call: Call, given: Places | None) -> Places | None:
    """The places of tokens to which a layer adds others: those that do not change with the input."""
    places = None if given is None else merged_blocks(given)
    if places is None or places.numbers is None or places.numbers.ndim != 3:
        return None
    x = np.random.default_rng(0).normal(size=(1, *call.sources[0].shape[1:])).astype(np.float32)
    (changed,) = _changed(call, np.concatenate([x, x + 1]))
    if changed.sum() != x.shape[1]:
        return None
    numbers = np.zeros((1, len(changed), 1), np.float32)
    numbers[:, changed] = places.numbers[..., :1]
    return replace(places, numbers=numbers)


def _changed(call: Call, arrays: Float32[np.ndarray, "n ..."]) -> Bool[np.ndarray, "n-1 T"]:
    """Which tokens differ from those of the first array, for each of the others."""
    (tokens,) = evaluated(call, {id(call.sources[0]): arrays})
    return np.asarray((tokens[1:] != tokens[:1]).any(axis=-1))
