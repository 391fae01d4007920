"""The files in a folder at any depth, and those that a glob matches. Links that lead around in circles do no harm."""

from __future__ import annotations

import glob
import os
from collections.abc import Collection, Iterator
from pathlib import Path

SKIPPED = "__MACOSX"
"""The folder that macOS puts beside the files in its archives, with a hidden file for each of them."""


RESULT, OURS = "result.json", b'"format": "cnnexplain result'
"""By what the folder of a result is known: this file, which begins like this. Its pictures are no images to explain."""


def files(folder: str, suffixes: Collection[str]) -> list[str]:
    """The files of these endings in a folder at any depth, sorted by folder and name, but for hidden ones and our results.

    Args:
        folder: The folder.
        suffixes: What the files end in, in lower case with the dot; theirs may be in any case.

    Raises:
        OSError: The folder, or one in it, can't be read.
    """
    endings = tuple(suffixes)
    found = []
    for inside in _folders(folder):
        with os.scandir(inside) as entries:
            found += [
                str(Path(entry.path))
                for entry in entries
                if entry.name.lower().endswith(endings) and not entry.name.startswith(".") and os.path.isfile(entry.path)
            ]
    return sorted(found, key=lambda path: path.split(os.sep))


def matching(pattern: str) -> list[str]:
    """The files that a glob matches, sorted; `**` stands for folders at any depth.

    Raises:
        OSError: A folder can't be read.
    """
    parts = pattern.split(os.sep)
    # Of folders at any depth in folders at any depth each would be found by many names.
    parts = [part for number, part in enumerate(parts) if part != "**" or number == 0 or parts[number - 1] != "**"]
    return sorted(path for path in set(_matches(os.sep.join(parts))) if os.path.isfile(path))


def _matches(pattern: str) -> Iterator[str]:
    parts = pattern.split(os.sep)
    if "**" not in parts:
        yield from glob.glob(pattern)
        return
    place = parts.index("**")
    before, after = os.sep.join(parts[:place]), os.sep.join(parts[place + 1 :]) or "*"
    starts = ["/" if pattern.startswith(os.sep) else ""] if not before else glob.glob(before)
    for start in filter(os.path.isdir, [start or os.curdir for start in starts]):
        for inside in _folders(start):
            below = inside if before or start != os.curdir else os.path.relpath(inside, os.curdir)
            yield from _matches(after if below == os.curdir else os.path.join(glob.escape(below), after))


def _folders(folder: str) -> Iterator[str]:
    """A folder and those in it at any depth, without hidden ones; each but once, since links may lead around in circles."""
    seen: set[tuple[int, int]] = set()
    left = [folder]
    while left:
        inside = left.pop()
        status = os.stat(inside)
        if (status.st_dev, status.st_ino) in seen:
            continue
        seen.add((status.st_dev, status.st_ino))
        yield inside
        with os.scandir(inside) as entries:
            # Reversed, so that of a folder and a link to it the one that comes first by name is gone through.
            left += sorted(
                (entry.path for entry in entries if _wanted(entry)),
                reverse=True,
            )


def _wanted(entry: os.DirEntry[str]) -> bool:
    # A link to itself is no folder, and asked itself the entry raises an error.
    if entry.name.startswith(".") or entry.name == SKIPPED or not os.path.isdir(entry.path):
        return False
    return not _is_result(entry.path)


def _is_result(folder: str) -> bool:
    path = os.path.join(folder, RESULT)
    # Whatever else may be called so: a named pipe would be waited for.
    if not os.path.isfile(path):
        return False
    with open(path, "rb") as file:
        return OURS in file.read(100)
