"""Terms and units that depend on whether the model predicts class probabilities or values such as an age."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cnnexplain.draw import formatting
from cnnexplain.model.head.outputs import noun

if TYPE_CHECKING:
    from cnnexplain.results.record import Record


def model_output(probability: float | None, value: float | None = None, unit: str = "") -> str:
    """A model's output for an image: a probability as "99.3%", a value as "58.2 years", or "" if neither is given.

    Args:
        probability: From 0 to 1; None if the model predicts values.
        value: None if the model predicts probabilities.
        unit: Unit of the value.
    """
    if probability is not None:
        return formatting.probability(probability)
    return "" if value is None else f"{formatting.number(value, 4)} {unit}".strip()


def has_values(record: Record) -> bool:
    """Whether the model predicts values instead of class probabilities."""
    return bool(record.provenance["model"].get("head") == "values")


def outputs(head: str | None) -> str:
    """The term for the outputs of a model with this head (`Classifier.head`): "classes" or "values"."""
    return noun(head)


def fact_name(record: Record, name: str) -> str:
    """The displayed name of a fact or an array: "value" takes the place of "logit" if the model predicts values."""
    return name.replace("logit", "value") if has_values(record) else name


def layer_name(record: Record, name: str) -> str:
    """The displayed name of a layer: "values" for the logits of a model that predicts values."""
    return "values" if name == "logits" and has_values(record) else name


def score_sign(record: Record, index: int) -> int:
    """−1 if the target of image `index` is the decrease of a value, whose score is the negative value; otherwise 1."""
    target = record.explained[index].target
    return -1 if has_values(record) and target is not None and target >= len(record.labels) // 2 else 1


def in_units(record: Record, text: str) -> str:
    """Translates a unit or name such as "logits per unit" from logits or probability to the values of a regression model.

    It is unchanged for a model that predicts classes. A value without a unit is called by its name, several values "value".
    """
    if not has_values(record):
        return text
    unit = record.provenance["model"].get("unit") or (record.labels[0] if len(record.labels) == 2 else "value")
    return re.sub(r"\b(logits?|probability)\b", lambda _: unit, text)
