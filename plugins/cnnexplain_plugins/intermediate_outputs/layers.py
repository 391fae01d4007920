"""The facts and maps of an image's layers in words and panels: the panels of pages, and the finding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cnnexplain.draw import findings, formatting, wording
from cnnexplain.plugin import Panel

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jaxtyping import Float

    from cnnexplain import Record


def maps_of(output: Float[np.ndarray, "*place F"], grid: Sequence[int] | None = None) -> Float[np.ndarray, "F h w"]:
    """A layer's output for one image as feature maps.

    A sequence becomes maps of one row. The planes of a volume are stacked vertically.

    Args:
        output: The output, channels last.
        grid: For tokens (T, C) that represent positions row by row: the number of rows and columns, and the index of the
            first such token. Other tokens, such as a class token, are left out.
    """
    if grid is not None:
        rows, columns, first = grid
        output = output[first : first + rows * columns].reshape(rows, columns, -1)
    return np.moveaxis(output.reshape(-1, *output.shape[-2:]), -1, 0)


def grid_words(facts: Mapping[str, Any]) -> str:
    """The rows and columns of tokens that represent positions, such as " on 7×7"; otherwise ""."""
    grid = facts.get("grid")
    return "" if grid is None else f" on {grid[0]}×{grid[1]}"


def panels(record: Record, index: int) -> list[Panel]:
    """A panel for each layer with feature maps: the maps shown large first, then the others except the dead ones."""
    panels = []
    for facts in record.facts["layers"][index]:
        name, shown = facts["name"], facts["shown"]
        if not shown:
            continue
        maps = maps_of(record.arrays[f"output/{name}"][index], facts.get("grid"))
        left_out = {*shown, *facts["dead_channels"]}
        order = [*shown, *(k for k in range(len(maps)) if k not in left_out)]
        shape = " × ".join(map(str, facts["shape"])) + grid_words(facts)
        contributions = record.arrays.get(f"contribution/{name}")
        unit = wording.in_units(record, "logits")
        caption = "" if contributions is None else f"; next to each map’s number, its contribution in {unit}"
        panels.append(
            Panel(
                f"{name} ({facts['kind']}), {shape}: {facts['dead']} of {len(maps)} maps dead{caption}",
                maps[order],
                [str(k) for k in order],
                facts["unit"],
                None if contributions is None else contributions[index, order].tolist(),
                unit,
                len(shown),
                facts["field"],
            )
        )
    return panels


def finding(record: Record, index: int) -> str:
    """The map that contributes most in the last layer that has feature maps and affects the score."""
    layers = [facts for facts in record.facts["layers"][index] if facts["shown"] and facts["contribution"] is not None]
    if not layers:
        return "None of the layers shown has feature maps on which the score depends."
    facts = layers[-1]
    contributions = record.arrays[f"contribution/{facts['name']}"][index]
    best, count = findings.most_telling(contributions), len(contributions)
    number = f"none of the {count} maps" if not facts["dead"] else f"{facts['dead']} of {count} maps"
    target, dead = findings.target(record, index), f"{number} {'are' if facts['dead'] > 1 else 'is'} dead"
    if not contributions.any():
        return f"At {facts['name']}, no map contributes to the score of {target} (activation × gradient); {dead}."
    contribution, score = formatting.signed_number(contributions[best], 3), formatting.number(record.facts["value"][index])
    effect = (
        f"map {best} contributes most to the score of {target}: {contribution}"
        if contributions[best] > 0
        else f"no map raises the score of {target}; map {best} lowers it the most: {contribution}"
    )
    return f"At {facts['name']}, {effect} (activation × gradient; score {score}); {dead}."
