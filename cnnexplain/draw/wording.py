"""What a model answers for an image, in words: the probability of a class, or a value with its unit."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cnnexplain.results.record import Record


def percent(probability: float) -> str:
    """A probability: "99.3%"; one that rounds to a whole says on which side it lies."""
    if 0.9995 <= probability < 1:
        return "> 99.9%"
    if 0 < probability < 0.0005:
        return "< 0.1%"
    return f"{100 * probability:.1f}%"


def number(value: float, digits: int = 3) -> str:
    """A number with so many digits that count, all of those before the point, and a minus sign: "−1.23"."""
    # −0.0 is 0.
    value = value or 0
    return (f"{value:.0f}" if abs(value) >= 10**digits - 0.5 else f"{value:.{digits}g}").replace("-", "−")


def amount(probability: float | None, value: float | None = None, unit: str = "") -> str:
    """What a model answers for an image: "99.3%", of a value "58.2 years"; "" where it is neither."""
    if probability is not None:
        return percent(probability)
    return "" if value is None else f"{number(value, 4)} {unit}".strip()


def of_values(record: Record) -> bool:
    """Whether the model puts out values, and no probabilities."""
    return bool(record.provenance["model"].get("head") == "values")


def named(record: Record, name: str) -> str:
    """What a fact or an array is called: its name, with "value" for "logit" where the model puts out values."""
    return name.replace("logit", "value") if of_values(record) else name


def layer(record: Record, name: str) -> str:
    """What a layer is called: its name, but "values" for the logits of a model of values."""
    return "values" if name == "logits" and of_values(record) else name


def turned(record: Record, index: int) -> int:
    """−1 where what lowers a value is explained for an image, whose score is minus the value; else 1."""
    target = record.explained[index].target
    return -1 if of_values(record) and target is not None and target >= len(record.labels) // 2 else 1


def in_units(record: Record, text: str) -> str:
    """A unit or name in terms of logits or a probability, such as "logits per unit of input", in those of a model's values.

    It is the same for a model of classes. The unit of a value that has none is its name, and of several values "value".
    """
    if not of_values(record):
        return text
    unit = record.provenance["model"].get("unit") or (record.labels[0] if len(record.labels) == 2 else "value")
    return re.sub(r"\b(logits?|probability)\b", lambda _: unit, text)
