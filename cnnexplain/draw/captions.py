"""Captions of figures, titles and labels of panels."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Literal

from cnnexplain.draw import formatting, wording
from cnnexplain.draw.extending import extend
from cnnexplain.draw.layout import GAP, HEADING_SIZE, LABEL_SIZE, SMALL_SIZE, TITLE_SIZE, panel_inches
from cnnexplain.draw.names import class_name, objective_name, source_name
from cnnexplain.draw.text import fit_text, legible, shorten, text_width

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from cnnexplain.results.record import Record

WARNING, WARNING_CHARACTERS, WARNING_LINE = "#A33A00", 14, 0.16
"""Color of a warning above the caption, its characters per inch, and the inches that a line takes."""


def caption(figure: Figure, record: Record, index: int) -> None:
    """Writes the source of image `index`, the model's prediction and the explained target above the panels."""
    explained = record.explained[index]
    for length in (30, 24, 18, 12, 8):
        predicted = class_name(record, explained.prediction, length)
        answer = wording.model_output(explained.probability, explained.value, explained.unit)
        words = f"predicted {predicted} ({answer})" if explained.value is None else f"{predicted} {answer}"
        if explained.objective is not None:
            words += f" · target {shorten(objective_name(record, explained.objective), 2 * length)}"
        elif explained.value is not None and explained.target is not None and explained.target != explained.prediction:
            words += f" · target {class_name(record, explained.target, length)}"
        elif explained.target is not None and explained.target_probability is not None:
            probability = formatting.probability(explained.target_probability)
            words += f" · target {class_name(record, explained.target, length)} ({probability})"
        if text_width(words, HEADING_SIZE) <= figure.get_figwidth() - 2 * GAP:
            break
    bands = record.preprocess.false_color
    heading(figure, source_name(explained.source.name) + (f" · {bands}" if bands else ""), words)


def heading(figure: Figure, first: str, second: str = "") -> None:
    """Writes two lines above the panels, as plain text rather than formulas.

    Args:
        figure: The figure.
        first: The upper line; if it is too long, its end is kept.
        second: The lower line; if it is too long, its start is kept.
    """
    room = figure.get_figwidth() - 2 * GAP
    figure.suptitle(
        f"{fit_text(first, room, HEADING_SIZE, tail=True)}\n{fit_text(second, room, HEADING_SIZE)}",
        y=1 - 0.1 / figure.get_figheight(),
        fontsize=HEADING_SIZE,
        parse_math=False,
    )


def warning(figure: Figure, text: str) -> None:
    """Writes a sentence above the caption of a finished figure, which becomes taller."""
    lines = textwrap.wrap(legible(text), int(WARNING_CHARACTERS * (figure.get_figwidth() - 2 * GAP)))
    extend(figure, top=0.05 + WARNING_LINE * len(lines))
    figure.text(
        0.5,
        1 - 0.1 / figure.get_figheight(),
        "\n".join(lines),
        fontsize=LABEL_SIZE,
        color=WARNING,
        ha="center",
        va="top",
        parse_math=False,
    )


def title(
    panel: Axes,
    text: str,
    *,
    side: Literal["left", "center"] = "center",
    room: float | None = None,
    pad: float = 6,
    tail: bool = False,
) -> None:
    """Writes the title of a panel, shortened to fit, as plain text rather than a formula.

    Args:
        panel: The panel.
        text: The title.
        side: The alignment with the panel.
        room: The available width in inches; by default the width of the panel and half the gap on both sides.
        pad: The distance between title and panel in points.
        tail: Whether to keep the end of a title that is too long, instead of its start.
    """
    if room is None:
        room = panel_inches(panel)[0] + GAP
    # With y given, Matplotlib does not search for other items above the panel.
    panel.set_title(
        fit_text(text, room, TITLE_SIZE, tail=tail), fontsize=TITLE_SIZE, loc=side, y=1, pad=pad, parse_math=False
    )


def row_label(panel: Axes, text: str) -> None:
    """Labels the row of panels that starts with this panel, above its title."""
    panel.annotate(
        legible(text),
        (0, 1),
        xytext=(0, 18),
        xycoords="axes fraction",
        textcoords="offset points",
        fontsize=LABEL_SIZE,
        fontweight="bold",
        annotation_clip=False,
        parse_math=False,
    )


def text_below(panel: Axes, text: str) -> None:
    """Writes small text below a panel; each of its lines is shortened to fit."""
    room = panel_inches(panel)[0] + GAP
    panel.annotate(
        "\n".join(fit_text(line, room, SMALL_SIZE) for line in text.split("\n")),
        (0.5, 0),
        xytext=(0, -3),
        xycoords="axes fraction",
        textcoords="offset points",
        ha="center",
        va="top",
        fontsize=SMALL_SIZE,
        annotation_clip=False,
        parse_math=False,
    )
