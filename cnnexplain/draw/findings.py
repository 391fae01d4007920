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
    from jaxtyping import Num

    from cnnexplain.results.record import Record


def target(record: Record, index: int) -> str:
    """The target of image `index` in quotes: the name of its class as in pictures, or the objective."""
    explained = record.explained[index]
    if explained.objective is not None:
        return f"'{objective_name(record, explained.objective)}'"
    target = explained.prediction if explained.target is None else explained.target
    return f"'{class_name(record, target)}'"


def ninth(row: float, column: float, shape: tuple[int, ...]) -> str:
    """The ninth of an image in which a pixel lies: "the upper left", "the left", "the middle".

    Args:
        row: Row of the pixel.
        column: Column of the pixel.
        shape: Shape of the image, (H, W) or (H, W, C).
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


def peak_place(values: Num[np.ndarray, "H W"], square: int = 1) -> str:
    """The place of a map's largest magnitude, in the words of `place`.

    Args:
        values: The map.
        square: Side length of the squares whose pixels share a value, as in `draw.region_sums`; their middle is given.
    """
    row, column = np.unravel_index(np.abs(values).argmax(), values.shape)
    middle = [min(int(at) + square // 2, side - 1) for at, side in zip((row, column), values.shape, strict=True)]
    return place(middle[0], middle[1], values.shape)


def largest_attribution(sums: Num[np.ndarray, "H W"], square: int) -> str:
    """The signed attribution of largest magnitude and its place, as the second half of a sentence.

    Args:
        sums: The sums from `draw.region_sums`.
        square: Side length of the squares over which they were summed.
    """
    value = float(sums.flat[np.abs(sums).argmax()])
    if not value:
        return "all attributions are 0"
    amount = signed_number(value, 3)
    if square == 1:
        return f"the attribution of largest magnitude, {amount}, is that of the pixel at {peak_place(sums)}"
    place_of_peak = peak_place(sums, square)
    return f"the attribution of largest magnitude, {amount}, is that of the {square}×{square} pixels at {place_of_peak}"


def concentration(values: Num[np.ndarray, "H W"]) -> float:
    """The share of a map's total magnitude in its strongest tenth of pixels: 0.1 for a constant map, at most 1."""
    magnitudes = np.sort(np.abs(values), axis=None)[::-1]
    total = magnitudes.sum(dtype=np.float64)
    strongest = magnitudes[: max(1, round(STRONGEST_SHARE * magnitudes.size))].sum(dtype=np.float64)
    return float(strongest / total) if total else STRONGEST_SHARE


def most_telling(contributions: Sequence[float]) -> int:
    """The index of the largest contribution; if none is above 0, of the one that lowers the score the most."""
    return int(np.argmax(contributions) if max(contributions) > 0 else np.argmin(contributions))


def change(before: float, after: float) -> str:
    """The change of a score: "goes from 2.1 to −3.4", or "stays at 2.1"."""
    first, second = number_pair(before, after)
    return f"stays at {first}" if first == second else f"goes from {first} to {second}"
