"""Words for what an analysis found: places, shares and numbers, as `Analysis.finding` puts them into a sentence.

A plugin's function reads arrays and facts, and puts the words together:

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

from cnnexplain import draw
from cnnexplain.draw import wording

if TYPE_CHECKING:
    from cnnexplain.results.record import Record
    from cnnexplain.types import Array


def target(record: Record, index: int) -> str:
    """What is explained of an image, in quotes: the name of its class as pictures have it, or the objective."""
    explained = record.explained[index]
    if explained.objective is not None:
        return f"'{draw.named(record, explained.objective)}'"
    shown = explained.prediction if explained.target is None else explained.target
    return f"'{draw.name(record, shown)}'"


def side(row: float, column: float, shape: tuple[int, ...]) -> str:
    """Which ninth of an image (H, W) a pixel lies in: "the upper left", "the left", "the middle"."""
    height, width = shape[:2]
    down = ("upper", "", "lower")[min(int(3 * (row + 0.5) / height), 2)]
    across = ("left", "", "right")[min(int(3 * (column + 0.5) / width), 2)]
    if not down and not across:
        return "the middle"
    return f"the {down} {across or 'middle'}" if down else f"the {across}"


def place(row: int, column: int, shape: tuple[int, ...]) -> str:
    """A pixel of an image (H, W) in words: "the upper left, around row 70, column 88"."""
    return f"{side(row, column, shape)}, around row {row}, column {column}"


def peak_place(values: Array, square: int = 1) -> str:
    """Where a map (H, W) has its largest magnitude, as `place` says it.

    Args:
        values: The map.
        square: The side of the squares whose pixels share a value, as `draw.summed` makes them: their middle is named.
    """
    row, column = np.unravel_index(np.abs(values).argmax(), values.shape)
    middle = [min(int(at) + square // 2, side - 1) for at, side in zip((row, column), values.shape, strict=True)]
    return place(middle[0], middle[1], values.shape)


def largest(summed: Array, square: int) -> str:
    """Which of signed attributions (H, W) has the largest magnitude, and where it lies, as the second half of a sentence.

    Args:
        summed: The attributions, as `draw.summed` gives them.
        square: The side of the squares that they were summed over.
    """
    value = float(summed.flat[np.abs(summed).argmax()])
    if not value:
        return "all attributions are 0"
    if square == 1:
        return f"the attribution of largest magnitude, {signed(value, 3)}, is that of the pixel at {peak_place(summed)}"
    where = peak_place(summed, square)
    return f"the attribution of largest magnitude, {signed(value, 3)}, is that of the {square}×{square} pixels at {where}"


def concentration(values: Array) -> float:
    """The share of a map's total magnitude that its strongest tenth of the pixels holds: 0.1 for a flat map, 1 at most."""
    magnitudes = np.sort(np.abs(values), axis=None)[::-1]
    total = magnitudes.sum(dtype=np.float64)
    held = magnitudes[: max(1, round(draw.STRONGEST * magnitudes.size))].sum(dtype=np.float64)
    return float(held / total) if total else draw.STRONGEST


def telling(contributions: Sequence[float]) -> int:
    """The place of the largest of signed contributions; where none is above 0, of the one that lowers the most."""
    return int(np.argmax(contributions) if max(contributions) > 0 else np.argmin(contributions))


def number(value: float, digits: int = 3) -> str:
    """A number with so many digits that count, all of those before the point, and a minus sign: "−1.23"."""
    return wording.number(value, digits)


def pair(before: float, after: float) -> tuple[str, str]:
    """Two numbers with so many digits that they differ, where they do: 58.12 and 58.09."""
    # Two different numbers of single precision differ in nine digits at the latest.
    for digits in range(3, 10):
        words = number(before, digits), number(after, digits)
        if words[0] != words[1] or before == after:
            break
    return words


def change(before: float, after: float) -> str:
    """What happens to a score: "goes from 2.1 to −3.4", or "stays at 2.1"."""
    one, other = pair(before, after)
    return f"stays at {one}" if one == other else f"goes from {one} to {other}"


def signed(value: float, digits: int = 2) -> str:
    """A contribution, which has a plus sign too where it is not 0: "+1.2", "0", "−150"."""
    return ("+" if value > 0 else "") + number(value, digits)


def percent(share: float) -> str:
    """A share: "38%", and with two digits below a tenth: "0.7%"."""
    return f"{100 * share:.0f}%" if share >= 0.0995 else f"{100 * share:.2g}%".replace("-", "−")
