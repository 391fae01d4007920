"""The file to which a benchmark writes the scores of each image as soon as they are known, and from which it continues.

Its first line is the request; each other line has the scores of one image.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from cnnexplain import files
from cnnexplain.errors import OutputError, UsageError
from cnnexplain.evaluation.scoring import Outcome

if TYPE_CHECKING:
    from jaxtyping import Float64

FORMAT = "cnnexplain benchmark 1"
"""The format in the first line of the file."""

NAME = "scores.jsonl"
"""The name of the file."""

SHOWN = 3
"""Differences between two requests that an error states."""


def kept(path: Path, request: Mapping[str, Any]) -> list[Outcome]:
    """The scores in the file, without a last line that is not complete; none if there is no file.

    Raises:
        OutputError: The file is not one of these, or is damaged.
        UsageError: It belongs to another request.
    """
    if not path.exists():
        return []
    with files.plain_errors(path):
        # After the last line break is nothing, or what was written of a line when the program was killed.
        first, *lines = path.read_bytes().split(b"\n")
    earlier, wanted = _header(path, first), json.loads(json.dumps(request))
    if earlier != wanted:
        changed = [name for name in {**earlier, **wanted} if earlier.get(name) != wanted.get(name)]
        raise UsageError(
            f"The scores in '{path}' belong to another request: other {', '.join(changed[:SHOWN])}. Leave out --resume "
            "to replace them, or choose another --out."
        )
    return list(_outcomes(path, lines[:-1], wanted))


def check(path: Path) -> None:
    """Checks that the file may be replaced.

    Raises:
        OutputError: There is a file of others at the path, or the folder can't be written.
    """
    files.check_writable(path)
    if path.exists():
        with files.plain_errors(path), path.open("rb") as file:
            _header(path, file.readline())


def start(path: Path, request: Mapping[str, Any], outcomes: list[Outcome]) -> IO[str]:
    """Writes a new file with some scores, and opens it to append others."""
    with files.replacing(path) as temporary:
        lines = [json.dumps({"format": FORMAT, "request": request}), *map(encoded, outcomes)]
        temporary.write_text("".join(f"{each}\n" for each in lines), encoding="utf-8")
    return path.open("a", encoding="utf-8")


def append(file: IO[str], outcome: Outcome) -> None:
    """Appends the scores of an image, so that they are kept whatever happens next."""
    file.write(f"{encoded(outcome)}\n")
    file.flush()


def encoded(outcome: Outcome) -> str:
    """The scores of an image as one line."""
    return json.dumps(
        {
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
        }
    )


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _header(path: Path, text: bytes) -> dict[str, Any]:
    try:
        content = json.loads(text)
        if content["format"] == FORMAT and isinstance(content["request"], dict):
            return content["request"]
    except (ValueError, KeyError, TypeError):
        pass
    raise OutputError(f"'{path}' exists and is not a score file of cnnexplain; choose another folder with --out.")


def _outcomes(path: Path, lines: list[bytes], request: Mapping[str, Any]) -> Iterator[Outcome]:
    least = 0
    for number, text in enumerate(lines, start=2):
        try:
            outcome = _outcome(json.loads(text), request)
            if not least <= outcome.place < request["images"]["count"]:
                raise ValueError(outcome.place)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise OutputError(
                f"Line {number} of '{path}' is damaged; leave out --resume to compute all scores again."
            ) from None
        least = outcome.place + 1
        yield outcome


def _outcome(content: Mapping[str, Any], request: Mapping[str, Any]) -> Outcome:
    """The scores in a line of a request; any error if the line is damaged."""
    for name, kind in (("place", int), ("name", str), ("target", int)):
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
    )


def _numbers(values: Any, count: int) -> Float64[np.ndarray, " M"]:
    array = np.array(values, np.float64)
    if array.shape != (count,):
        raise ValueError(array.shape)
    return array


def _texts(content: Mapping[Any, Any]) -> dict[str, str]:
    return {str(name): str(reason) for name, reason in content.items()}
