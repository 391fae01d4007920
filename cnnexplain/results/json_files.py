"""Writes JSON files, and reads untrusted ones with limits on their size."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from cnnexplain import files
from cnnexplain.results.damage import DamageError

BYTES, ITEMS = 1 << 26, 1 << 22
"""Maximum number of bytes of a JSON file, and of values in it, which may need more than ten times as much memory."""


def read(path: Path) -> dict[str, Any]:
    """Reads a JSON object from an untrusted file.

    Raises:
        DamageError: It can't be read, is not a JSON object, has an invalid number, or is too large.
    """
    try:
        with files.opened(path) as file:
            text = file.read(BYTES + 1)
    except OSError as error:
        raise DamageError(error.strerror or str(error)) from error
    if len(text) > BYTES or sum(map(text.count, (b",", b"[", b"{"))) > ITEMS:
        raise DamageError("it is larger than any result")
    try:
        content = json.loads(
            text.decode("utf-8"),
            parse_float=_finite,
            parse_constant=_finite,
            parse_int=_whole,
            object_pairs_hook=_object,
        )
    except DamageError:
        raise
    except RecursionError as error:
        raise DamageError("it is nested too deeply") from error
    except ValueError as error:
        raise DamageError(f"it is not JSON ({error})") from error
    if not isinstance(content, dict):
        raise DamageError("it is not a JSON object")
    return content


def dumps(content: object, indent: int | None = 2) -> str:
    """JSON text; NaN and infinity are errors."""
    return json.dumps(content, indent=indent, ensure_ascii=False, allow_nan=False)


def write(path: Path, content: object) -> None:
    """Writes content as JSON."""
    # A file name that is not valid Unicode becomes an escape sequence that JSON knows.
    path.write_text(dumps(content) + "\n", encoding="utf-8", errors="backslashreplace")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        twice = next(name for place, (name, _) in enumerate(pairs) if name in dict(pairs[:place]))
        raise DamageError(f"'{twice}' occurs twice")
    return content


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise DamageError(f"{text} is not a finite number")
    return number


def _whole(text: str) -> int:
    # With more digits it would be infinite as a float.
    if len(text) > 300:
        raise DamageError(f"the number {text[:20]}… is too large")
    return int(text)
