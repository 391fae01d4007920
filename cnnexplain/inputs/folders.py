"""Finds the files in a folder at any depth, and the files that match a glob. Circular links are safe."""

from __future__ import annotations

import glob
import os
from collections.abc import Collection, Iterator
from pathlib import Path

SKIPPED = "__MACOSX"
"""The folder that macOS adds to its archives, with a hidden file for each file."""

RESULT, OURS = "result.json", b'"format": "cnnexplain result'
"""The file in the folder of a result, and its beginning. The pictures in such a folder are not images to explain."""


def files(folder: str, suffixes: Collection[str]) -> list[str]:
    """The files with these suffixes in a folder at any depth, sorted by folder and name; without hidden files and results.

    Args:
        folder: The folder.
        suffixes: The suffixes in lower case, with the dot. Those of the files may be in any case.

    Raises:
        OSError: The folder, or a folder in it, can't be read.
    """
    endings = tuple(suffixes)
    paths = []
    for inside in _folders(folder):
        with os.scandir(inside) as entries:
            paths += [
                str(Path(entry.path))
                for entry in entries
                if entry.name.lower().endswith(endings) and not entry.name.startswith(".") and os.path.isfile(entry.path)
            ]
    return sorted(paths, key=lambda path: path.split(os.sep))


def matching(pattern: str) -> list[str]:
    """The files that match a glob, sorted; `**` matches folders at any depth.

    Raises:
        OSError: A folder can't be read.
    """
    parts = pattern.split(os.sep)
    # With `**/**`, every file would be found under many names.
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
    """A folder and the folders in it at any depth, without hidden ones; each only once, because links may be circular."""
    seen: set[tuple[int, int]] = set()
    pending = [folder]
    while pending:
        inside = pending.pop()
        status = os.stat(inside)
        if (status.st_dev, status.st_ino) in seen:
            continue
        seen.add((status.st_dev, status.st_ino))
        yield inside
        with os.scandir(inside) as entries:
            # In reverse order, so that the first by name of a folder and a link to it is used.
            pending += sorted(
                (entry.path for entry in entries if _wanted(entry)),
                reverse=True,
            )


def _wanted(entry: os.DirEntry[str]) -> bool:
    # Not entry.is_dir(), which raises an error for a link to itself.
    if entry.name.startswith(".") or entry.name == SKIPPED or not os.path.isdir(entry.path):
        return False
    return not _is_result(entry.path)


def _is_result(folder: str) -> bool:
    path = os.path.join(folder, RESULT)
    # Opening something else of this name, such as a named pipe, could block.
    if not os.path.isfile(path):
        return False
    with open(path, "rb") as file:
        return OURS in file.read(100)
