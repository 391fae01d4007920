"""One image of a record: its source, prediction and target."""

from __future__ import annotations

from dataclasses import dataclass

from cnnexplain.inputs.source import Source


@dataclass(frozen=True)
class Explained:
    """One image of a record: its source, the class predicted and the class explained, each with its probability.

    Args:
        source: The source of the image.
        prediction: Index of the most probable class. For a regression model, index of the explained or the first value.
        probability: The probability of the prediction, from 0 to 1; None for a regression model.
        target: Index of the explained class; None if no class is explained.
        target_probability: The probability of the target, from 0 to 1; None for a regression model.
        objective: The objective, such as "4 − 9"; None if it is just the logit of the target.
        value: For a regression model, the value with the index `prediction`; None for a classifier.
        unit: The unit of the value; "" if unknown.
    """

    source: Source
    prediction: int
    probability: float | None
    target: int | None
    target_probability: float | None
    objective: str | None = None
    value: float | None = None
    unit: str = ""
