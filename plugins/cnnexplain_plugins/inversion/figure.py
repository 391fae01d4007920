"""The figure of the reconstructions, and the sentence that summarizes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cnnexplain import draw as drawing
from cnnexplain.draw import formatting, wording

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from cnnexplain import Record

SIDE, MIN_WIDTH, COLUMNS = 1.9, 1.75, 5
"""The longer side of a panel and its minimum width, for the text below, in inches, and the maximum number of columns."""

ACROSS, TITLE, FOOTER = 0.25, 0.3, 0.5
"""Inches between panels, for the title of a panel, and for the text below it."""


def draw(record: Record, index: int) -> Figure:
    """The image and its reconstruction from each layer, all on the scale of the model's input range."""
    facts = {name: fact[index] for name, fact in record.facts.items()}
    names = list(facts["representation_error"])
    wide, tall = drawing.panel_size(record, SIDE)
    wide = max(wide, MIN_WIDTH)
    rows = -(-(len(names) + 1) // COLUMNS)
    columns = -(-(len(names) + 1) // rows)
    pitch = TITLE + tall + FOOTER
    figure = drawing.sheet(record, columns * (wide + ACROSS) - ACROSS, rows * pitch - TITLE)
    panels = [
        drawing.panel(figure, place % columns * (wide + ACROSS), place // columns * pitch, wide, tall)
        for place in range(len(names) + 1)
    ]
    drawing.input_image(panels[0], record, index)
    drawing.title(panels[0], "input")
    for panel, name in zip(panels[1:], names, strict=True):
        drawing.image_values(panel, record, record.arrays[f"reconstruction/{name}"][index])
        early = "" if facts["stopped"][name] is None else " (ended early)"
        drawing.title(panel, wording.layer_name(record, name) + early, tail=True)
        drawing.text_below(
            panel,
            f"representation error {_format_error(facts['representation_error'][name])}\n"
            f"pixel error {_format_error(facts['pixel_error'][name])}\n"
            f"{_model_output(record, facts, name)}",
        )
    drawing.caption(figure, record, index)
    return figure


def finding(record: Record, index: int) -> str:
    """How well the middle one of the layers was inverted, and how many reconstructions keep the predicted class."""
    errors = record.facts["representation_error"][index]
    names = list(errors)
    name = names[len(names) // 2]
    layer, error = wording.layer_name(record, name), _format_error(errors[name])
    recovered = f"At {layer}, the image is recovered to a representation error of {error}"
    if "value" in record.facts:
        return f"{recovered}, with {_model_output(record, {'value': record.facts['value'][index]}, name)}."
    predictions = record.facts["prediction"][index]
    prediction = record.explained[index].prediction
    kept = sum(predictions[each] == prediction for each in names)
    if len(names) == 1:
        classes = "the predicted class is kept" if kept else "the predicted class is not kept"
    elif kept == len(names):
        classes = f"the predicted class is kept in all {len(names)} layers"
    else:
        classes = f"the predicted class is kept in {kept} of {len(names)} layers"
    return f"{recovered}; {classes}."


def _model_output(record: Record, facts: Mapping[str, Any], name: str) -> str:
    """The model's output for the reconstruction from a layer."""
    if "value" in facts:
        value = facts["value"][name]
        unit = record.explained[0].unit
        return f"{drawing.class_name(record, 0, 14)} " + (
            "not finite" if value is None else wording.model_output(None, value, unit)
        )
    prediction, probability = facts["prediction"][name], facts["probability"][name]
    label = "nothing" if prediction is None else drawing.class_name(record, prediction, 14)
    return f"predicted {label}" + ("" if probability is None else f" ({formatting.probability(probability)})")


def _format_error(error: float) -> str:
    """An error with three decimals, without decimals from 10 on, or as a power of ten if it would be rounded to 0.000."""
    if 0 < error < 0.0005:
        return f"{error:.0e}".replace("-", "−")
    return f"{error:.3f}" if error < 10 else f"{error:.0f}"
