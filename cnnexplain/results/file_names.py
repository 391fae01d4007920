"""The names of the files of a result."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from cnnexplain.errors import line

RESULT, ARRAYS, INDEX = "result.json", "arrays.npz", "index.html"

PICTURE = re.compile(r"\w[\w.-]*\.(png|svg|pdf)")

FILE = re.compile(
    r"index\.html|result(-[0-9]{5,})?\.json|arrays(-[0-9]{5,})?\.npz|thumbnails(-[0-9]{5,})?(-[0-9]+)?\.webp|"
    + PICTURE.pattern
)
"""Names of the files of a result. No others are ever read, replaced or removed."""


def is_ours(name: str) -> bool:
    """Whether a file of a result may have this name."""
    return FILE.fullmatch(name) is not None and len(name.encode(errors="replace")) <= 255


def part_name(number: int) -> str:
    """The JSON file of a part, counted from 1."""
    return f"result-{number:05}.json"


def picture_names(
    sources: Sequence[str], titles: Sequence[str] = (), taken: Iterable[str] = (), *, suffix: str
) -> list[str]:
    """A safe and unique file name for each source and title; sources are named without their folder.

    Args:
        sources: The names of images.
        titles: The titles of pictures that belong to no single image.
        taken: File names already in use.
        suffix: The file names' suffix, without the dot.
    """
    names: list[str] = []
    used = {name.casefold() for name in taken}
    numbers: dict[str, int] = {}
    stems = [source if re.match(r"\w+:\w+/", source) else Path(source).stem for source in sources]
    for words in (*stems, *titles):
        stem = re.sub(r"[^\w.-]+", "-", words).strip("-.")[:80] or "image"
        # A file name has up to 255 bytes, and a character up to four.
        stem = stem.encode()[:200].decode(errors="ignore")
        name, number = f"{stem}.{suffix}", numbers.get(stem.casefold(), 1)
        while name.casefold() in used:
            number += 1
            name = f"{stem}-{number}.{suffix}"
        # Keeps a thousand images of one name linear in time.
        numbers[stem.casefold()] = number
        used.add(name.casefold())
        names.append(name)
    return names


def listed(names: Sequence[str], most: int) -> str:
    """The first `most` of many names, and how many more there are."""
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return line(", ".join(names[:most]), 500) + rest
