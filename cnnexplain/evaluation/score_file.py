"""The file to which a benchmark writes the scores of each image as soon as they are known, and from which it continues.

Its first line is the request; each other line has the scores of one image.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from cnnexplain import files
from cnnexplain.errors import OutputError, UsageError
from cnnexplain.evaluation.scoring import Outcome

FORMAT = "cnnexplain benchmark 1"
"""The format in the first line of the file."""

NAME = "scores.jsonl"
"""The name of the file."""

SHOWN = 3
"""Differences between two requests that an error states."""


def kept(path: Path, request: Mapping[str, Any]) -> list[Outcome]:
    """The scores in the file, without a last line that is not complete; none if there is no file.

    Raises:
        OutputError: The file is not one of these.
        UsageError: It belongs to another request.
    """
    if not path.exists():
        return []
    with files.plain_errors(path), path.open(encoding="utf-8") as file:
        earlier = _header(path, file.readline())
        wanted = json.loads(json.dumps(request))
        if earlier != wanted:
            changed = [name for name in {**earlier, **wanted} if earlier.get(name) != wanted.get(name)]
            raise UsageError(
                f"The scores in '{path}' belong to another request: other {', '.join(changed[:SHOWN])}. Leave out --resume "
                "to replace them, or choose another --out."
            )
        return list(_outcomes(file))


def check(path: Path) -> None:
    """Checks that the file may be replaced.

    Raises:
        OutputError: There is a file of others at the path, or the folder can't be written.
    """
    files.check_writable(path)
    if path.exists():
        with files.plain_errors(path), path.open(encoding="utf-8", errors="replace") as file:
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
            "pictures": list(outcome.pictures),
        }
    )


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _header(path: Path, text: str) -> dict[str, Any]:
    try:
        content = json.loads(text)
        if content["format"] == FORMAT and isinstance(content["request"], dict):
            return content["request"]
    except (ValueError, KeyError, TypeError):
        pass
    raise OutputError(f"'{path}' exists and is not a score file of cnnexplain; choose another folder with --out.")


def _outcomes(file: Iterator[str]) -> Iterator[Outcome]:
    for text in file:
        try:
            content = json.loads(text)
        # The program was killed while it wrote the line.
        except ValueError:
            return
        yield Outcome(
            place=content["place"],
            name=content["name"],
            target=content["target"],
            scores={
                metric: {score: np.array(values, np.float64) for score, values in scores.items()}
                for metric, scores in content["scores"].items()
            },
            warnings={method: tuple(warnings) for method, warnings in content["warnings"].items()},
            undefined=content["undefined"],
            pictures=tuple(content["pictures"]),
        )
