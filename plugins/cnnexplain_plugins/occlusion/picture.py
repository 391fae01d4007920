"""The picture of an occlusion: the drop of the score over the image, and the paper's maps by position of the square."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.patches import Patch

from cnnexplain import draw
from cnnexplain.draw import formatting, wording

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from cnnexplain import Array, Floats, Integers, Record

SIDE, TITLE, BETWEEN = 2.4, 1.9, 0.86
"""Inches of a panel's longer side, of its width at least, so that its title fits, and between the two rows of panels."""

COLORS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000")
"""Told apart by all eyes (Okabe, Ito 2008); for the classes that are most probable at the most positions."""

OTHER = "#BBBBBB"
"""For all other classes."""

UNSURE = 0.1
"""Probabilities of which none is larger are drawn on a scale of their own."""

NOWHERE = 0.93
"""The gray of places where the middle of a square can't be."""

CHARACTERS, LEGEND = 18, 8.0
"""How many characters of a class's name are shown, and the points of their letters in the legend."""


def picture(record: Record, index: int) -> Figure:
    """Draws image `index`; see `draw`."""
    arrays = {name: array[index] for name, array in record.arrays.items()}
    facts = {name: fact[index] for name, fact in record.facts.items()}
    # A model of values has neither probabilities nor classes.
    classes, counts = np.unique(arrays.get("prediction", np.zeros(0, np.int64)), return_counts=True)
    classes = classes[np.argsort(-counts, kind="stable")][: len(COLORS)]
    names = [draw.class_name(record, label, CHARACTERS) for label in classes]

    wide, tall = draw.panel_size(record, SIDE)
    wide = max(wide, TITLE)
    legend = max(draw.COLORBAR_WIDTH, 0.4 + max(draw.text_width(each, LEGEND) for each in [*names, "other"]))
    compared = "second_logit_drop" in arrays
    lefts = np.cumsum(
        [
            0,
            wide + draw.COLORBAR_WIDTH + draw.GAP,
            wide + legend + draw.GAP,
            *[wide + draw.COLORBAR_WIDTH + draw.GAP] * compared,
        ]
    )
    figure = draw.sheet(record, lefts[-1] + wide + draw.COLORBAR_WIDTH, 2 * tall + BETWEEN)
    above = [draw.panel(figure, left, 0, wide, tall) for left in lefts]
    below = [draw.panel(figure, left, tall + BETWEEN, wide, tall) for left in lefts[: 3 if names else 2]]

    draw.input_image(above[0], record, index)
    draw.title(above[0], "input")
    draw.image_values(above[1], record, arrays["occluded"])
    sign, values = wording.score_sign(record, index), wording.has_values(record)
    scores = [sign * (facts["unoccluded_logit"] - drop) for drop in (0, facts["largest_drop"])]
    before, after = formatting.number_pair(*scores)
    unit = wording.in_units(record, "logit")
    draw.title(above[1], f"worst square: {before} → {after} {unit}" if values else f"worst square: logit {before} → {after}")
    changed = f"{'drop' if sign > 0 else 'rise'} in {unit}" if values else "drop of the logit"
    # On one scale, so that the two squares can be compared.
    names_of_drops = ["logit_drop", "second_logit_drop"][: 1 + compared]
    limit = max(draw.max_limit(np.abs(arrays[each])) for each in names_of_drops)
    for panel, each in zip(above[2:], names_of_drops, strict=True):
        draw.overlay(panel, record, index, arrays[each], limit=limit, signed=True, unit=changed)
    over = "drop over input" if sign > 0 else "rise over input"
    draw.title(above[2], f"{over}, {record.options['fill']}" if compared else over)
    if compared:
        agreement = "" if facts["agreement"] is None else f", agreement {formatting.number(facts['agreement'])}"
        draw.title(above[3], f"{facts['second_fill']}{agreement}")

    side = facts["patch"]
    figure.text(
        draw.GAP / figure.get_figwidth(),
        1 - (draw.HEADER_HEIGHT + tall + BETWEEN / 2) / figure.get_figheight(),
        f"With the middle of the square ({side}×{side} pixels, in steps of {facts['stride']}) at each place:",
        fontsize=draw.LABEL_SIZE,
        color=draw.GRAY,
        va="center",
    )
    height, width = record.images.shape[1:3]
    for panel in below if "activation" in arrays else below[:-1]:
        panel.imshow(np.full((2 * height, 2 * width, 3), NOWHERE))

    def placed(grid: Array) -> Floats:
        return _placed(grid, facts["rows"], facts["columns"], side, facts["stride"], (height, width))

    target = record.explained[index].target
    assert target is not None
    called = draw.class_name(record, target, CHARACTERS)
    if "probability" in arrays:
        probability = arrays["probability"]
        draw.unsigned_map(below[0], placed(probability), "probability", limit=1 if probability.max() > UNSURE else None)
        draw.title(below[0], f"probability of {called}")
        _labeled(below[1], placed(arrays["prediction"]), classes, names)
        draw.title(below[1], "most probable class")
    else:
        shown = sign * arrays["logit"]
        if shown.min() < 0:
            draw.signed_map(below[0], placed(shown), unit)
        else:
            # An age of 58 that becomes 57 would not be seen from 0 on.
            draw.unsigned_map(below[0], placed(shown), unit, start=float(shown.min()) if np.ptp(shown) else 0.0)
        draw.title(below[0], draw.class_name(record, record.explained[index].prediction, CHARACTERS))
    if "activation" in arrays:
        # After a ReLU nothing is below zero, but before one a total may be.
        scale = draw.signed_map if arrays["activation"].min() < 0 else draw.unsigned_map
        scale(below[-1], placed(arrays["activation"]), "total activation")
        draw.title(below[-1], f"map {facts['feature_map']} of {draw.shorten(facts['layer'], 20, tail=True)}")
    draw.caption(figure, record, index)
    return figure


def _placed(grid: Array, tops: Sequence[int], lefts: Sequence[int], patch: int, stride: int, size: Sequence[int]) -> Floats:
    """A map (rows, columns) by position as one (2H, 2W) over the image: at each place the nearest position's.

    A position is where the middle of its square is. Places are half pixels, since a middle may lie between two pixels; NaN
    where none lies within half a stride.
    """
    found, beyond = [], []
    for starts, side in zip((tops, lefts), size, strict=True):
        distance = np.abs((np.arange(2 * side) + 0.5)[:, None] / 2 - (np.array(starts) + patch / 2))
        found.append(distance.argmin(axis=1))
        beyond.append(distance.min(axis=1) > stride / 2)
    return np.where(np.logical_or.outer(*beyond), np.nan, grid[np.ix_(*found)])


def _labeled(panel: Axes, labels: Floats, classes: Integers, names: Sequence[str]) -> None:
    """Shows a map of classes in one color each, those that aren't of `classes` in one for all, with a legend."""
    ranks = np.where(np.isnan(labels), np.nan, len(classes))
    for rank, label in enumerate(classes):
        ranks[labels == label] = rank
    known = [*names, "other"] if (ranks == len(classes)).any() else names
    colors = [*COLORS[: len(classes)], OTHER][: len(known)]
    panel.imshow(ranks, vmin=-0.5, vmax=len(known) - 0.5, cmap=ListedColormap(colors), interpolation="nearest")
    legend = panel.legend(
        handles=[Patch(color=color) for color in colors],
        labels=known,
        loc="center left",
        bbox_to_anchor=(1, 0.5),
        frameon=False,
        fontsize=LEGEND,
        handlelength=1,
        handleheight=1,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)
