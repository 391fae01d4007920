"""Globs → the files that match: as Python's own module finds them, but through links that lead round in a circle once."""

from __future__ import annotations

import fnmatch
import glob
import os
import re
from collections import deque
from collections.abc import Iterator, Sequence


def is_glob(name: str) -> bool:
    """Whether a name has a sign that stands for others."""
    return glob.has_magic(name)


def matching(pattern: str) -> list[str]:
    """The files that match, sorted; `**` stands for folders at any depth, each of which is gone through once.

    Names that begin with a dot match only a pattern that does, too.
    """
    parts = [part for part in pattern.split(os.sep) if part]
    # Of folders at any depth in folders at any depth each would be found many times.
    parts = [part for number, part in enumerate(parts) if part != "**" or number == 0 or parts[number - 1] != "**"]
    start = os.sep if pattern.startswith(os.sep) else ""
    return sorted({path for path in _matching(start, parts) if os.path.isfile(path)})


def _matching(folder: str, parts: Sequence[str]) -> Iterator[str]:
    if not parts:
        yield folder
        return
    first, rest = parts[0], parts[1:]
    if first == "**":
        for inner in _folders(folder):
            yield from _matching(inner, rest or ["*"])
    elif not glob.has_magic(first):
        path = os.path.join(folder, first)
        if not rest or os.path.isdir(path):
            yield from _matching(path, rest)
    else:
        fits = re.compile(fnmatch.translate(os.path.normcase(first))).match
        for entry in _entries(folder):
            hidden = entry.name.startswith(".") and not first.startswith(".")
            if not hidden and fits(os.path.normcase(entry.name)) and (not rest or entry.is_dir()):
                yield from _matching(os.path.join(folder, entry.name), rest)


def _folders(start: str) -> Iterator[str]:
    """A folder and those in it at any depth, those that are nearest first, each by one of its names."""
    seen: set[tuple[int, int]] = set()
    waiting = deque([start])
    while waiting:
        folder = waiting.popleft()
        try:
            found = os.stat(folder or os.curdir)
        except OSError:
            continue
        if (found.st_dev, found.st_ino) in seen:
            continue
        seen.add((found.st_dev, found.st_ino))
        yield folder
        waiting += [os.path.join(folder, each.name) for each in _entries(folder) if each.is_dir() and each.name[0] != "."]


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder or os.curdir) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    # As in a shell, what can't be read has nothing that matches.
    except OSError:
        return []
