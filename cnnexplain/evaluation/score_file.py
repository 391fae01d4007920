"""The scores of an image as JSON: what a benchmark writes as soon as they are known, and from which it continues."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnexplain.evaluation import request_file
from cnnexplain.evaluation.scoring import Outcome

if TYPE_CHECKING:
    from jaxtyping import Float64

FORMAT = "cnnexplain benchmark 1"
"""The format in the first line of the file."""


def kept(path: Path, request: Mapping[str, Any]) -> list[Outcome]:
    """The scores in the file; none if there is no file.

    Raises:
        OutputError: The file is not one of these, or is damaged.
        UsageError: It belongs to another request.
    """
    return list(_outcomes(path, request_file.results(path, FORMAT, request), request))


def content(outcome: Outcome) -> dict[str, Any]:
    """The scores of an image, JSON-able."""
    return {
        "place": outcome.place,
        "name": outcome.name,
        "target": outcome.target,
        "scores": {
            metric: {score: [_number(value) for value in values] for score, values in scores.items()}
            for metric, scores in outcome.scores.items()
        },
        "warnings": {method: list(warnings) for method, warnings in outcome.warnings.items() if warnings},
        "undefined": dict(outcome.undefined),
        "errors": dict(outcome.errors),
        "failed": dict(outcome.failed),
        "pictures": list(outcome.pictures),
        "mask": outcome.mask,
    }


def outcome(content: Mapping[str, Any], request: Mapping[str, Any]) -> Outcome:
    """The scores of an image from JSON; any error if they are not those of a request.

    Args:
        content: As `content` returns it.
        request: Its `methods` and `metrics`, each by name; a metric has the names of its `scores`.
    """
    for name, kind in (("place", int), ("name", str), ("target", int), ("mask", str)):
        if type(content[name]) is not kind:
            raise TypeError(name)
    count, metrics = len(request["methods"]), request["metrics"]
    if any(set(scores) != set(metrics[metric]["scores"]) for metric, scores in content["scores"].items()):
        raise ValueError("scores")
    return Outcome(
        place=content["place"],
        name=content["name"],
        target=content["target"],
        scores={
            metric: {score: _numbers(values, count) for score, values in scores.items()}
            for metric, scores in content["scores"].items()
        },
        warnings={str(method): tuple(map(str, warnings)) for method, warnings in content["warnings"].items()},
        undefined=_texts(content["undefined"]),
        errors=_texts(content["errors"]),
        failed=_texts(content["failed"]),
        pictures=tuple(map(str, content["pictures"])),
        mask=content["mask"],
    )


def _outcomes(path: Path, lines: Iterator[tuple[int, bytes]], request: Mapping[str, Any]) -> Iterator[Outcome]:
    least = 0
    for number, text in lines:
        try:
            found = outcome(json.loads(text), request)
            if not least <= found.place < request["images"]["count"]:
                raise ValueError(found.place)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise request_file.damaged(path, number) from None
        least = found.place + 1
        yield found


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _numbers(values: Any, count: int) -> Float64[np.ndarray, " M"]:
    array = np.array(values, np.float64)
    if array.shape != (count,):
        raise ValueError(array.shape)
    return array


def _texts(content: Mapping[Any, Any]) -> dict[str, str]:
    return {str(name): str(reason) for name, reason in content.items()}
