"""The verification of a result as JSON, for files."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cnnexplain.plugin.check import LONGEST, Check, Measurement
from cnnexplain.results import json_kinds
from cnnexplain.results.damage import DamageError
from cnnexplain.results.json_kinds import FLAG, NAME, NUMBER, SECONDS, fields, list_of, of, optional
from cnnexplain.results.verification import Row, Verification, joined

MOST = 1000
"""Maximum number of checks."""

WORDS = of(
    f"1 to {LONGEST} printable characters",
    lambda value: isinstance(value, str) and 0 < len(value) <= LONGEST and value.isprintable(),
)
SENTENCE = of("a sentence", lambda value: isinstance(value, str) and 0 < len(value) <= json_kinds.LONGEST)

MEASUREMENT = fields({"value": optional(NUMBER), "limit": optional(NUMBER), "passed": optional(FLAG), "detail": NAME}, {})
ROW = fields(
    {
        "kind": WORDS,
        "check": WORDS,
        "meaning": SENTENCE,
        "passed": optional(FLAG),
        "error": NAME,
        "images": list_of(MEASUREMENT),
    },
    {},
)
CONTENT = fields({"passed": FLAG, "checks": list_of(ROW), "seconds": SECONDS}, {})


def write(verification: Verification) -> dict[str, Any]:
    """A verification as JSON, without what the result states already: the analysis, the model and the images."""
    content = _shortened(verification.as_json())
    return {name: content[name] for name in ("passed", "checks", "seconds")}


def _shortened(content: Any) -> Any:
    """JSON whose texts, which plugins may have written, are not longer than those that are read."""
    if isinstance(content, dict):
        return {name: _shortened(each) for name, each in content.items()}
    if isinstance(content, list):
        return [_shortened(each) for each in content]
    return content[: json_kinds.LONGEST] if isinstance(content, str) else content


def check(content: Any, images: int) -> None:
    """Checks JSON that `write` has made.

    Args:
        content: The JSON.
        images: The number of images of the result; 0 for an analysis of the model itself, which has one measurement.

    Raises:
        DamageError: It does not follow the schema, or its verdicts contradict its numbers.
    """
    CONTENT(content, "'verification'")
    if len(content["checks"]) > MOST:
        raise DamageError(f"'verification' has more than {MOST} checks")
    for entry in content["checks"]:
        count, expected = len(entry["images"]), max(images, 1)
        # An error ends a check before it has measured all images.
        if count > expected or (count < expected and not entry["error"]):
            raise DamageError(f"the check '{entry['check']}' has {count} measurements for {expected} images")
        measured = zip(map(_measurement, entry["images"]), entry["images"], strict=True)
        if any(found.passed is not each["passed"] for found, each in measured) or _row(entry).passed is not entry["passed"]:
            raise DamageError(f"the verdict of the check '{entry['check']}' contradicts its numbers")
    if content["passed"] is not all(entry["passed"] is not False for entry in content["checks"]):
        raise DamageError("the verdict of 'verification' contradicts its checks")


def read(content: Mapping[str, Any], result: Mapping[str, Any], images: Sequence[Mapping[str, Any]]) -> Verification:
    """Reads a verification that `write` has converted and `check` has checked.

    Args:
        content: The JSON.
        result: The content of `result.json`.
        images: The images of the part of the result that was verified.
    """
    sources = tuple(image["source"] for image in images)
    rows = tuple(map(_row, content["checks"]))
    return Verification(result["analysis"], result["model"], sources, rows, float(content["seconds"]))


def of_parts(result: Mapping[str, Any], parts: Iterable[Mapping[str, Any]]) -> Verification | None:
    """The verification of a result; None if a part of it is not verified.

    Args:
        result: The content of `result.json`.
        parts: The contents of the files of its parts.
    """
    found = []
    for part in parts:
        if part.get("verification") is None:
            return None
        found.append(read(part["verification"], result, part["images"]))
    return joined(found)


def _row(entry: Mapping[str, Any]) -> Row:
    check = Check(entry["check"], entry["meaning"], lambda _: Measurement(None))
    return Row(entry["kind"], check, tuple(map(_measurement, entry["images"])), entry["error"])


def _measurement(entry: Mapping[str, Any]) -> Measurement:
    """A measurement; JSON has null for a number that is not finite, such as the NaN of a check that failed."""
    passed = entry["passed"]
    value, limit = {True: (-math.inf, math.inf), False: (math.nan, math.nan), None: (None, None)}[passed]
    value = value if entry["value"] is None else entry["value"]
    limit = limit if entry["limit"] is None else entry["limit"]
    return Measurement(value, limit, entry["detail"])
