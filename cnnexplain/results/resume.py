"""Determines which parts of an earlier result a resumed run can keep."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cnnexplain import former_names
from cnnexplain.errors import OutputError, UsageError
from cnnexplain.results import json_files, npz, result_files, schema
from cnnexplain.results.damage import DamageError
from cnnexplain.results.file_names import INDEX, PICTURE, RESULT, part_name

SHOWN = 3
"""Differences between two requests that an error states before it counts the rest."""


FLAGS = ("control", "verify")
"""Values of a request that are options of the command line without a value."""


@dataclass(frozen=True)
class Missing:
    """Pictures of a part that are listed but were not drawn.

    Args:
        part: The JSON file of the part.
        images: The index of each image within the part, and the name of its picture.
        overview: The names of the pictures that belong to no single image.
    """

    part: str
    images: Sequence[tuple[int, str]]
    overview: Sequence[str]


@dataclass(frozen=True)
class Kept:
    """The part of an earlier result that is kept.

    Args:
        start: Index of the first image that is still to be explained.
        complete: Whether the earlier result is complete.
        result: The content of `result.json` for the parts that are kept; empty if none is.
        missing: The pictures of these parts that are still to be drawn.
    """

    start: int = 0
    complete: bool = False
    result: Mapping[str, Any] = field(default_factory=dict)
    missing: Sequence[Missing] = ()


def resume(folder: Path, request: Mapping[str, Any] | None, ours: Collection[str], count: int) -> Kept:
    """What can be kept of the result in a folder.

    Args:
        folder: The folder of the result.
        request: The new request, as read from JSON.
        ours: The names of the files of the earlier result.
        count: The number of images of the run.

    Raises:
        OutputError: The earlier result is damaged.
        UsageError: It belongs to another request, or does not record its request.
    """
    if schema.unfinished(json_files.read(folder / RESULT)):
        return Kept()
    try:
        earlier = result_files.read_result(folder)
    except OutputError as error:
        raise OutputError(f"{error} Leave out --resume to replace it.") from error
    _check_request(folder, earlier.get("request"), request)
    parts: list[str] = []
    skipped: dict[str, str] = {}
    names = [name for name in (INDEX, RESULT) if name in ours or name == RESULT]
    seconds, start, complete = 0.0, 0, False
    missing: list[Missing] = []
    with contextlib.suppress(OutputError):
        for number, part in enumerate(result_files.read_parts(folder, earlier), start=1):
            stop = part["span"][1]
            complete = earlier["complete"] and stop == count and _are_whole(folder, earlier["files"], ours)
            absent = _missing(folder, part_name(number) if "parts" in earlier else RESULT, part, earlier["overview"])
            if complete:
                missing.append(absent)
            # The last part is recomputed if any file written with it is missing, except for pictures.
            if "parts" not in earlier or stop >= count or not _are_whole(folder, part["files"], ours):
                break
            parts.append(part_name(number))
            missing.append(absent)
            skipped |= part["skipped"]
            seconds = round(seconds + part["seconds"], 4)
            names += part["files"]
            start = stop
    missing = [each for each in missing if each.images or each.overview]
    if complete:
        return Kept(complete=True, result=earlier, missing=missing)
    if not start:
        return Kept()
    kept = {"parts": parts, "skipped": skipped, "seconds": seconds, "files": names}
    return Kept(start, result={**earlier, **kept, "complete": False}, missing=missing)


def _missing(folder: Path, name: str, part: Mapping[str, Any], overview: Sequence[str]) -> Missing:
    """The pictures of a part that do not exist; the first part has those that belong to no single image."""
    images = [(index, image["picture"]) for index, image in enumerate(part["images"]) if image["picture"] is not None]
    return Missing(
        name,
        [(index, picture) for index, picture in images if not (folder / picture).exists()],
        [picture for picture in overview if not part["span"][0] and not (folder / picture).exists()],
    )


def _are_whole(folder: Path, names: Iterable[str], ours: Collection[str]) -> bool:
    """Whether all files of the earlier result exist, except for pictures, which can be drawn."""
    return all(_is_whole(folder, name, ours) for name in names if PICTURE.fullmatch(name) is None)


def _is_whole(folder: Path, name: str, ours: Collection[str]) -> bool:
    """Whether a file of the earlier result exists and, if it has arrays, they can be read."""
    path = folder / name
    if name not in ours or not path.is_file():
        return False
    try:
        if path.suffix == ".npz":
            npz.check(path)
    except DamageError:
        return False
    return True


def _check_request(folder: Path, earlier: Any, request: Mapping[str, Any] | None) -> None:
    if not isinstance(earlier, dict) or request is None:
        raise UsageError(f"The result in '{folder}' can't be continued: it does not record its request.")
    # Earlier versions could not verify. What is not verified can still be.
    before = {"verify": False, **former_names.renamed(earlier)}
    if request.get("verify"):
        before["verify"] = True
    wanted = former_names.renamed(request)
    differences = [_difference(name, before.get(name), now) for name, now in wanted.items() if before.get(name) != now]
    if differences:
        more = f"; and {len(differences) - SHOWN} more" if len(differences) > SHOWN else ""
        raise UsageError(
            f"The result in '{folder}' belongs to another request: {'; '.join(differences[:SHOWN])}{more}. "
            "Leave out --resume to replace it, or choose another --out."
        )


def _difference(name: str, was: Any, now: Any) -> str:
    """Describes how a value of a request differs from the earlier one; for objects, the keys that differ."""
    if isinstance(was, dict) and isinstance(now, dict):
        other = [key for key in {**was, **now} if was.get(key) != now.get(key)]
        return "; ".join(_difference(f"{name}.{key}", was.get(key), now.get(key)) for key in other)
    if name in FLAGS:
        # What is not set is None or False.
        return f"it was made {_with(was)}--{name}, now {_with(now)}it"
    return f"{name} was {_short(was)}, now {_short(now)}"


def _with(value: Any) -> str:
    return "with " if value else "without "


def _short(value: Any) -> str:
    text = json_files.dumps(value, indent=None)
    return text if len(text) <= 80 else f"{text[:80]}…"
