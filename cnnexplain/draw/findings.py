"""Parts of the sentence that states what an analysis found: the target, places, shares and changes.

A plugin's `Analysis.finding` reads arrays and facts and composes the sentence:

    ```python
    from cnnexplain.draw import findings

    def finding(record, index):
        values = record.arrays["heat"][index]
        return f"The map of {findings.target(record, index)} is strongest at {findings.peak_place(values)}."
    ```
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from cnnexplain.draw.formatting import number_pair, signed_number
from cnnexplain.draw.names import class_name, objective_name
from cnnexplain.draw.overlays import STRONGEST_SHARE

if TYPE_CHECKING:
    from cnnexplain.results.record import Record
    from cnnexplain.types import Array


def target(record: Record, index: int) -> str:
    """What is explained for image `index`, in quotes: the name of its class as in pictures, or the objective."""
    explained = record.explained[index]
    if explained.objective is not None:
        return f"'{objective_name(record, explained.objective)}'"
    shown = explained.prediction if explained.target is None else explained.target
    return f"'{class_name(record, shown)}'"


def ninth(row: float, column: float, shape: tuple[int, ...]) -> str:
    """The ninth of an image in which a pixel lies: "the upper left", "the left", "the middle".

    Args:
        row: Of the pixel.
        column: Of the pixel.
        shape: (H, W) or (H, W, C) of the image.
    """
    height, width = shape[:2]
    down = ("upper", "", "lower")[min(int(3 * (row + 0.5) / height), 2)]
    across = ("left", "", "right")[min(int(3 * (column + 0.5) / width), 2)]
    if not down and not across:
        return "the middle"
    return f"the {down} {across or 'middle'}" if down else f"the {across}"


def place(row: int, column: int, shape: tuple[int, ...]) -> str:
    """A pixel of an image of shape (H, W) in words: "the upper left, around row 70, column 88"."""
    return f"{ninth(row, column, shape)}, around row {row}, column {column}"


def peak_place(values: Array, square: int = 1) -> str:
    """The place of a map's largest magnitude, in the words of `place`.

    Args:
        values: (H, W).
        square: Side length of the squares whose pixels share a value, as in `draw.region_sums`; their middle is given.
    """
    row, column = np.unravel_index(np.abs(values).argmax(), values.shape)
    middle = [min(int(at) + square // 2, side - 1) for at, side in zip((row, column), values.shape, strict=True)]
    return place(middle[0], middle[1], values.shape)


def largest_attribution(sums: Array, square: int) -> str:
    """The signed attribution of largest magnitude and its place, as the second half of a sentence.

    Args:
        sums: (H, W), from `draw.region_sums`.
        square: Side length of the squares that they were summed over.
    """
    value = float(sums.flat[np.abs(sums).argmax()])
    if not value:
        return "all attributions are 0"
    amount = signed_number(value, 3)
    if square == 1:
        return f"the attribution of largest magnitude, {amount}, is that of the pixel at {peak_place(sums)}"
    where = peak_place(sums, square)
    return f"the attribution of largest magnitude, {amount}, is that of the {square}×{square} pixels at {where}"


def concentration(values: Array) -> float:
    """The share of a map's total magnitude in its strongest tenth of pixels: 0.1 for a constant map, at most 1."""
    magnitudes = np.sort(np.abs(values), axis=None)[::-1]
    total = magnitudes.sum(dtype=np.float64)
    held = magnitudes[: max(1, round(STRONGEST_SHARE * magnitudes.size))].sum(dtype=np.float64)
    return float(held / total) if total else STRONGEST_SHARE


def most_telling(contributions: Sequence[float]) -> int:
    """The index of the largest contribution; if none is above 0, of the one that lowers the score the most."""
    return int(np.argmax(contributions) if max(contributions) > 0 else np.argmin(contributions))


def change(before: float, after: float) -> str:
    """The change of a score: "goes from 2.1 to −3.4", or "stays at 2.1"."""
    one, other = number_pair(before, after)
    return f"stays at {one}" if one == other else f"goes from {one} to {other}"
