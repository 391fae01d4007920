"""JSON files of results: written alike, and read though anyone may have changed them."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from cnnexplain import files
from cnnexplain.results.json_kinds import DamageError

BYTES, ITEMS = 1 << 26, 1 << 22
"""How many bytes a file of JSON may have, and how many values, which take ten times the memory and more."""


def read(path: Path) -> dict[str, Any]:
    """A JSON object from a file that anyone may have changed.

    Raises:
        DamageError: There is none, or it is larger than any of ours.
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
        raise DamageError("it is nested too deep") from error
    except ValueError as error:
        raise DamageError(f"it is not JSON ({error})") from error
    if not isinstance(content, dict):
        raise DamageError("it holds no JSON object")
    return content


def text(content: object, indent: int | None = 2) -> str:
    """JSON as in all our files; no number in it is infinite or no number."""
    return json.dumps(content, indent=indent, ensure_ascii=False, allow_nan=False)


def write(path: Path, content: object) -> None:
    """Writes JSON as in all our files."""
    # A file name that is no Unicode becomes an escape that JSON knows.
    path.write_text(text(content) + "\n", encoding="utf-8", errors="backslashreplace")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        twice = next(name for place, (name, _) in enumerate(pairs) if name in dict(pairs[:place]))
        raise DamageError(f"'{twice}' stands there twice")
    return content


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise DamageError(f"{text} is no finite number")
    return number


def _whole(text: str) -> int:
    # Of more digits it is no finite number either.
    if len(text) > 300:
        raise DamageError(f"{text[:20]}… is too large a number")
    return int(text)
