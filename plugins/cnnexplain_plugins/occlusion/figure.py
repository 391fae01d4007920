"""The figure of an occlusion: the drop of the score over the image, and the paper's maps by position of the square."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.patches import Patch

from cnnexplain import draw
from cnnexplain.draw import formatting, wording

if TYPE_CHECKING:
    from jaxtyping import Float, Int64, Shaped
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from cnnexplain import Record

SIDE, MIN_WIDTH, BETWEEN = 2.4, 1.9, 0.86
"""Inches: the longer side of a panel, its minimum width, for the title, and the space between the two rows of panels."""

COLORS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000")
"""The colors of the classes predicted most often, which color-blind readers can distinguish (Okabe, Ito 2008)."""

OTHER = "#BBBBBB"
"""The color of all other classes."""

UNSURE = 0.1
"""Probabilities that are all smaller than this are drawn on a scale of their own instead of from 0 to 1."""

NOWHERE = 0.93
"""The gray of positions that the middle of a square cannot have."""

CHARACTERS, LEGEND = 18, 8.0
"""Maximum number of characters of a class name, and the font size of the legend."""


def occlusion_figure(record: Record, index: int) -> Figure:
    """Draws image `index`; see `draw`."""
    arrays = {name: array[index] for name, array in record.arrays.items()}
    facts = {name: fact[index] for name, fact in record.facts.items()}
    # A regression model has neither probabilities nor classes.
    classes, counts = np.unique(arrays.get("prediction", np.zeros(0, np.int64)), return_counts=True)
    classes = classes[np.argsort(-counts, kind="stable")][: len(COLORS)]
    names = [draw.class_name(record, label, CHARACTERS) for label in classes]

    wide, tall = draw.panel_size(record, SIDE)
    wide = max(wide, MIN_WIDTH)
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
    # On the same scale, so that the two squares can be compared.
    drops = ["logit_drop", "second_logit_drop"][: 1 + compared]
    limit = max(draw.max_limit(np.abs(arrays[each])) for each in drops)
    for panel, each in zip(above[2:], drops, strict=True):
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
        f"For each position of the middle of the square ({side}×{side} pixels, stride {facts['stride']}):",
        fontsize=draw.LABEL_SIZE,
        color=draw.GRAY,
        va="center",
    )
    height, width = record.images.shape[1:3]
    for panel in below if "activation" in arrays else below[:-1]:
        panel.imshow(np.full((2 * height, 2 * width, 3), NOWHERE))

    def to_image(grid: Shaped[np.ndarray, "rows columns"]) -> Float[np.ndarray, "height width"]:
        return _to_image(grid, facts["rows"], facts["columns"], side, facts["stride"], (height, width))

    target = record.explained[index].target
    assert target is not None
    target_name = draw.class_name(record, target, CHARACTERS)
    if "probability" in arrays:
        probability = arrays["probability"]
        draw.unsigned_map(below[0], to_image(probability), "probability", limit=1 if probability.max() > UNSURE else None)
        draw.title(below[0], f"probability of {target_name}")
        _class_map(below[1], to_image(arrays["prediction"]), classes, names)
        draw.title(below[1], "most probable class")
    else:
        shown = sign * arrays["logit"]
        if shown.min() < 0:
            draw.signed_map(below[0], to_image(shown), unit)
        else:
            # On a scale from 0, the change of an age from 58 to 57 would be invisible.
            draw.unsigned_map(below[0], to_image(shown), unit, start=float(shown.min()) if np.ptp(shown) else 0.0)
        draw.title(below[0], draw.class_name(record, record.explained[index].prediction, CHARACTERS))
    if "activation" in arrays:
        # Totals can be negative if the layer does not end in a ReLU.
        scale = draw.signed_map if arrays["activation"].min() < 0 else draw.unsigned_map
        scale(below[-1], to_image(arrays["activation"]), "total activation")
        draw.title(below[-1], f"map {facts['feature_map']} of {draw.shorten(facts['layer'], 20, tail=True)}")
    draw.caption(figure, record, index)
    return figure


def _to_image(
    grid: Shaped[np.ndarray, "rows columns"],
    tops: Sequence[int],
    lefts: Sequence[int],
    patch: int,
    stride: int,
    size: Sequence[int],
) -> Float[np.ndarray, "height width"]:
    """Enlarges a map by position of the square to the image: each place gets the value of the nearest position.

    The position of a square is that of its middle. The result has twice the height and width of the image, because a middle
    may lie between two pixels, and is NaN where no middle lies within half a stride.
    """
    nearest, beyond = [], []
    for starts, side in zip((tops, lefts), size, strict=True):
        distance = np.abs((np.arange(2 * side) + 0.5)[:, None] / 2 - (np.array(starts) + patch / 2))
        nearest.append(distance.argmin(axis=1))
        beyond.append(distance.min(axis=1) > stride / 2)
    return np.where(np.logical_or.outer(*beyond), np.nan, grid[np.ix_(*nearest)])


def _class_map(
    panel: Axes, labels: Float[np.ndarray, "height width"], classes: Int64[np.ndarray, " K"], names: Sequence[str]
) -> None:
    """Shows a map of classes with a legend, with one color for each of `classes` and one for all others."""
    ranks = np.where(np.isnan(labels), np.nan, len(classes))
    for rank, label in enumerate(classes):
        ranks[labels == label] = rank
    labels_shown = [*names, "other"] if (ranks == len(classes)).any() else names
    colors = [*COLORS[: len(classes)], OTHER][: len(labels_shown)]
    panel.imshow(ranks, vmin=-0.5, vmax=len(labels_shown) - 0.5, cmap=ListedColormap(colors), interpolation="nearest")
    legend = panel.legend(
        handles=[Patch(color=color) for color in colors],
        labels=labels_shown,
        loc="center left",
        bbox_to_anchor=(1, 0.5),
        frameon=False,
        fontsize=LEGEND,
        handlelength=1,
        handleheight=1,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)
