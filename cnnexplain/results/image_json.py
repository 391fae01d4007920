"""One image of a result as JSON, for files and the command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cnnexplain.inputs.source import Source
from cnnexplain.results.explained import Explained


def write(explained: Explained, labels: Sequence[str], finding: str | None) -> dict[str, Any]:
    """An image of a record as JSON.

    Args:
        explained: The image.
        labels: The labels of the record.
        finding: The finding for the image; None if the analysis has none.
    """
    target = explained.target
    return {
        "source": explained.source.name,
        "sha256": explained.source.sha256,
        "inverted": explained.source.inverted,
        "resized": explained.source.resized,
        "prediction": labels[explained.prediction],
        "prediction_index": explained.prediction,
        "probability": explained.probability,
        "target": None if target is None else labels[target],
        "target_index": target,
        "target_probability": explained.target_probability,
        "objective": explained.objective,
        "value": explained.value,
        "unit": explained.unit,
        "finding": finding,
    }


def read(image: Mapping[str, Any]) -> Explained:
    """Reads an image that `write` has converted.

    Raises:
        KeyError, TypeError, ValueError: The JSON is invalid.
    """
    return Explained(
        Source(image["source"], image["sha256"], image["inverted"], image["resized"]),
        image["prediction_index"],
        None if image["probability"] is None else float(image["probability"]),
        image["target_index"],
        image["target_probability"],
        image["objective"],
        None if image.get("value") is None else float(image["value"]),
        str(image.get("unit", "")),
    )
