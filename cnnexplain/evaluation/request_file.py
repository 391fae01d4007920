"""A file of results that can be resumed: its first line is the request, each other line is a result as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from cnnexplain import files
from cnnexplain.errors import OutputError, UsageError

NAME = "scores.jsonl"
"""The name of the file."""

SHOWN = 3
"""Differences between two requests that an error states."""


def results(path: Path, kind: str, request: Mapping[str, Any]) -> Iterator[tuple[int, bytes]]:
    """The number and the text of each line with a result, without a last line that is not complete; none without a file.

    Args:
        path: The file.
        kind: The format that the first line must have.
        request: The request that the file must have.

    Raises:
        OutputError: The file is not one of this kind.
        UsageError: It belongs to another request.
    """
    if not path.exists():
        return
    with files.plain_errors(path):
        # After the last line break is nothing, or what was written of a line when the program was killed.
        first, *lines = path.read_bytes().split(b"\n")
    earlier, wanted = _header(path, first, kind), json.loads(json.dumps(request))
    if earlier != wanted:
        changed = [name for name in {**earlier, **wanted} if earlier.get(name) != wanted.get(name)]
        raise UsageError(
            f"The scores in '{path}' belong to another request: other {', '.join(changed[:SHOWN])}. Leave out --resume "
            "to replace them, or choose another --out."
        )
    yield from enumerate(lines[:-1], start=2)


def damaged(path: Path, number: int) -> OutputError:
    """The error for a line that has no valid result."""
    return OutputError(f"Line {number} of '{path}' is damaged; leave out --resume to compute all scores again.")


def check(path: Path, kind: str) -> None:
    """Checks that the file may be replaced.

    Raises:
        OutputError: The path has a file that is not a score file of cnnexplain, or the folder can't be written.
    """
    files.check_writable(path)
    if path.exists():
        with files.plain_errors(path), path.open("rb") as file:
            _header(path, file.readline(), kind)


def start(path: Path, kind: str, request: Mapping[str, Any], contents: Iterable[Mapping[str, Any]]) -> IO[str]:
    """Writes a new file with some results, and opens it to append others."""
    with files.replacing(path) as temporary:
        lines = [json.dumps({"format": kind, "request": request}), *map(json.dumps, contents)]
        temporary.write_text("".join(f"{each}\n" for each in lines), encoding="utf-8")
    return path.open("a", encoding="utf-8")


def append(file: IO[str], content: Mapping[str, Any]) -> None:
    """Appends a result, so that it is kept whatever happens next."""
    file.write(f"{json.dumps(content)}\n")
    file.flush()


def _header(path: Path, text: bytes, kind: str) -> dict[str, Any]:
    try:
        content = json.loads(text)
        if content["format"] == kind and isinstance(content["request"], dict):
            return content["request"]
    except (ValueError, KeyError, TypeError):
        pass
    raise OutputError(f"'{path}' exists and is not a score file of cnnexplain; choose another folder with --out.")
