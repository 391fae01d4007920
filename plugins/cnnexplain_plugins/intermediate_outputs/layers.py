"""What pages tell of an image's layers: a panel of maps for each, and the map that contributes most."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cnnexplain.draw import findings, formatting, wording
from cnnexplain.plugin import Panel

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cnnexplain import Floats, Record


def maps_of(output: Floats, grid: Sequence[int] | None = None) -> Floats:
    """A layer's output for one image as maps (C, H, W).

    Sequences are maps of one row; of volumes the planes stand one below the other.

    Args:
        output: (…, C).
        grid: Of tokens (T, C) that stand for places, row by row: rows, columns, and the first of them. The others, such as
            a class token, are left out.
    """
    if grid is not None:
        rows, columns, first = grid
        output = output[first : first + rows * columns].reshape(rows, columns, -1)
    return np.moveaxis(output.reshape(-1, *output.shape[-2:]), -1, 0)


def on_grid(facts: Mapping[str, Any]) -> str:
    """A phrase for tokens that stand for places: on how many rows and columns."""
    grid = facts.get("grid")
    return "" if grid is None else f" on {grid[0]}×{grid[1]}"


def panels(record: Record, index: int) -> list[Panel]:
    """A panel for each layer with feature maps, those shown large first, without the dead ones that aren't."""
    found = []
    for facts in record.facts["layers"][index]:
        name, shown = facts["name"], facts["shown"]
        if not shown:
            continue
        maps = maps_of(record.arrays[f"output/{name}"][index], facts.get("grid"))
        left_out = {*shown, *facts["dead_channels"]}
        order = [*shown, *(k for k in range(len(maps)) if k not in left_out)]
        shape = " × ".join(map(str, facts["shape"])) + on_grid(facts)
        contributions = record.arrays.get(f"contribution/{name}")
        unit = wording.in_units(record, "logits")
        told = "" if contributions is None else f"; beside a map’s number its contribution in {unit}"
        found.append(
            Panel(
                f"{name} ({facts['kind']}), {shape}: {facts['dead']} of {len(maps)} maps dead{told}",
                maps[order],
                [str(k) for k in order],
                facts["unit"],
                None if contributions is None else contributions[index, order].tolist(),
                unit,
                len(shown),
                facts["field"],
            )
        )
    return found


def finding(record: Record, index: int) -> str:
    """The map that contributes most in the last layer with maps on which the score depends."""
    layers = [each for each in record.facts["layers"][index] if each["shown"] and each["contribution"] is not None]
    if not layers:
        return "None of the layers shown has feature maps on which the score depends."
    facts = layers[-1]
    contributions = record.arrays[f"contribution/{facts['name']}"][index]
    best, count = findings.most_telling(contributions), len(contributions)
    some = f"none of the {count} maps" if not facts["dead"] else f"{facts['dead']} of {count} maps"
    target, dead = findings.target(record, index), f"{some} {'are' if facts['dead'] > 1 else 'is'} dead"
    if not contributions.any():
        return f"At {facts['name']} no map contributes to the score of {target} (activation × gradient); {dead}."
    contribution, score = formatting.signed_number(contributions[best], 3), formatting.number(record.facts["value"][index])
    most = (
        f"map {best} contributes most to the score of {target}: {contribution}"
        if contributions[best] > 0
        else f"no map raises the score of {target}; map {best} lowers it the most: {contribution}"
    )
    return f"At {facts['name']} {most} (activation × gradient; score {score}); {dead}."
