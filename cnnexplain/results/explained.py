"""What is known of one image of a record: where it came from, and what the model made of it."""

from __future__ import annotations

from dataclasses import dataclass

from cnnexplain.inputs.source import Source


@dataclass(frozen=True)
class Explained:
    """One image of a record: its source, the class predicted and the class explained, each with its probability.

    Args:
        source: Where the image came from.
        prediction: Index of the most probable class; of a model of values, of the one that is explained, or the first.
        probability: The prediction's probability, from 0 to 1; None for a model of values.
        target: Index of the explained class; None where no class is explained.
        target_probability: The target's probability, from 0 to 1; None for a model of values.
        objective: What is explained, where it isn't just the target's logit, such as "4 − 9".
        value: Of a model of values, the one of `prediction`; None for a model of classes.
        unit: Of the value; "" where it isn't known.
    """

    source: Source
    prediction: int
    probability: float | None
    target: int | None
    target_probability: float | None
    objective: str | None = None
    value: float | None = None
    unit: str = ""
