"""What `result.json` and the files of its parts hold: each value is seen to be of its kind before anything is done with it.

A result that was written as a whole has the keys of `RUN` and of `PART` in `result.json`. One that was written in parts has
those of `RUN` and `WHOLE` there, and those of `PART` in a file for each part. Keys that are not named here may be there too:
a later version may write more. While files are moved to their places `result.json` has the format and their names alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cnnexplain import __version__
from cnnexplain.errors import OutputError, line
from cnnexplain.results import json_files
from cnnexplain.results.json_kinds import (
    DamageError,
    Kind,
    by_name,
    fields,
    is_natural,
    is_real,
    list_of,
    of,
    or_none,
    unique,
)

PROVENANCE = ("dataset", "model", "plugin", "keras")
"""What `Record.provenance` may tell."""

RESULT = "result.json"
FORMAT = "cnnexplain result 1"
"""What `result.json` says of itself, by which a folder is known to be ours."""

PICTURE = re.compile(r"\w[\w.-]*\.(png|svg|pdf)")
FILE = re.compile(
    r"index\.html|result(-[0-9]{5,})?\.json|arrays(-[0-9]{5,})?\.npz|thumbnails(-[0-9]{5,})?(-[0-9]+)?\.webp|"
    + PICTURE.pattern
)
"""The names of the files that a result consists of. No others are ever read, replaced or removed."""

LONGEST = 10_000
"""Characters of what is the name of something, such as of an image or a class."""


def listed(names: Sequence[str], most: int) -> str:
    """The first few of many names, and how many there are more."""
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return line(", ".join(names[:most]), 500) + rest


def damaged(folder: Path, why: object) -> OutputError:
    """The error that says of a result what is wrong with it."""
    words = line(why) if str(why).strip() else type(why).__name__
    return OutputError(f"The result in '{folder}' is damaged: {words.removesuffix('.')}.")


def read_result(folder: Path) -> dict[str, Any]:
    """What `result.json` in a folder says, seen to be whole.

    Raises:
        OutputError: There is none that this version can read, or it is damaged.
    """
    path = folder / RESULT
    try:
        content = json_files.read(path)
        if content.get("format") != FORMAT:
            raise OutputError(f"'{path}' was not written by cnnexplain {__version__}{_later(content)}.")
        if unfinished(content):
            raise OutputError(
                f"The folder '{folder}' holds no whole result: a run was ended while it wrote it. Run the analysis again."
            )
        check_result(content)
    except DamageError as damage:
        raise damaged(folder, f"{RESULT}: {damage}") from damage
    return content


def read_parts(folder: Path, result: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """What the parts of a result say, one after another; of one in one piece the result itself.

    Args:
        folder: Where it lies.
        result: What `result.json` says.

    Raises:
        OutputError: One is damaged.
    """
    if "images" in result and "parts" not in result:
        yield dict(result)
    start = 0
    for number in range(1, len(result.get("parts", [])) + 1):
        part = _read_part(folder, number, result, start)
        start = part["span"][1]
        yield part


def _read_part(folder: Path, number: int, result: Mapping[str, Any], start: int) -> dict[str, Any]:
    """What the file of a part says, seen to be whole.

    Args:
        folder: Where it lies.
        number: Of the part, counted from 1.
        result: What `result.json` says.
        start: The place of the image that follows those of the part before.

    Raises:
        OutputError: It is damaged.
    """
    name = part_name(number)
    try:
        content = json_files.read(folder / name)
        check_part(content, result["labels"])
        if content["span"][0] != start:
            raise DamageError(f"it begins with image {content['span'][0]} in place of {start}")
    except DamageError as damage:
        raise damaged(folder, f"{name}: {damage}") from damage
    return content


def unfinished(content: Mapping[str, Any]) -> bool:
    """Whether this is what `result.json` says while files are moved to their places."""
    return "analysis" not in content


def named(content: Mapping[str, Any]) -> list[str]:
    """The files of a result that is to be replaced, whatever else is wrong with it, but for names that can't be of ours.

    Raises:
        DamageError: It is no result of this format, or names none.
    """
    if content.get("format") != FORMAT:
        raise DamageError(f"its format is not '{FORMAT}'{_later(content)}")
    names = content.get("files")
    if not isinstance(names, list):
        raise DamageError("it does not list its files")
    return [name for name in names if isinstance(name, str) and _is_file(name)]


def check_result(content: Mapping[str, Any]) -> None:
    """Sees that `result.json` holds what it should.

    Raises:
        DamageError: It does not.
    """
    fields(RUN, RUN_LATER)(content, "")
    if not set(content["overview"]) <= set(filter(PICTURE.fullmatch, content["files"])):
        raise DamageError("the pictures of 'overview' are others than were written")
    if "parts" in content:
        fields(WHOLE, {})(content, "")
        if content["parts"] != [part_name(number) for number in range(1, len(content["parts"]) + 1)] or not content["parts"]:
            raise DamageError("'parts' are not numbered from 1 on")
    else:
        check_part(content, content["labels"])
        if content["span"][0]:
            raise DamageError("'span' does not begin with the first image")


def check_part(content: Mapping[str, Any], labels: Sequence[str]) -> None:
    """Sees that what is said of a part, or of a result in one piece, is what should be.

    Raises:
        DamageError: It is not.
    """
    fields(PART, PART_LATER)(content, "")
    (start, stop), images = content["span"], content["images"]
    # Images that can't be read are told of by their names, of which several may be the same.
    if len(images) > stop - start or (len(images) < stop - start and not content["skipped"]):
        raise DamageError(f"'images' has {len(images)} entries for those from {start} to {stop}")
    for index in (index for image in images for index in (image["prediction_index"], image["target_index"])):
        if index is not None and index >= len(labels):
            raise DamageError(f"class {index} of {len(labels)}")
    if any((image["probability"] is None) == (image.get("value") is None) for image in images):
        raise DamageError("an image has neither a probability nor a value, or both")
    own = [image["picture"] for image in images]
    if len(set(own)) < len(own) or not set(own) <= set(filter(PICTURE.fullmatch, content["files"])):
        raise DamageError("its pictures are others than were written")
    if len([name for name in content["files"] if name.endswith(".npz")]) != 1:
        raise DamageError("'files' does not name one file of arrays")


def part_name(number: int) -> str:
    """The file of a part, counted from 1."""
    return f"result-{number:05}.json"


def _later(content: Mapping[str, Any]) -> str:
    """What to add where a later version has written it."""
    said = content.get("format")
    later = isinstance(said, str) and re.fullmatch(r"cnnexplain result [0-9]{1,9}", said)
    return f" but by a later version ('{said}'): use that one" if later else ""


def _is_file(name: str) -> bool:
    return FILE.fullmatch(name) is not None and len(name.encode(errors="replace")) <= 255


def _span(value: Any, place: str) -> None:
    list_of(COUNT)(value, place)
    if len(value) != 2 or value[0] > value[1]:
        raise DamageError(f"{place} is not two places, the first and the one after the last")


ANY = of("anything", lambda _: True)
TEXT = of("text", lambda value: isinstance(value, str))
NAME = of(f"text of up to {LONGEST} characters", lambda value: isinstance(value, str) and len(value) <= LONGEST)
FLAG = of("true or false", lambda value: isinstance(value, bool))
COUNT = of("a whole number of at least 0", is_natural)
SIDE = of("a whole number up to a million", lambda value: is_natural(value) and value <= 10**6)
NUMBER = of("a number", is_real)
SECONDS = of("a number of at least 0", lambda value: is_real(value, 0))
# A softmax in 32 bits may come to a little more than 1.
PROBABILITY = of("a probability", lambda value: is_real(value, 0, 1.001))
FILE_NAME = of("the name of a file of ours", lambda value: isinstance(value, str) and _is_file(value))

IMAGE: dict[str, Kind] = {
    "source": NAME,
    "sha256": NAME,
    "inverted": FLAG,
    "resized": FLAG,
    "prediction": NAME,
    "prediction_index": COUNT,
    "probability": or_none(PROBABILITY),
    "target": or_none(NAME),
    "target_index": or_none(COUNT),
    "target_probability": or_none(PROBABILITY),
    "objective": or_none(NAME),
    "picture": TEXT,
}
IMAGE_LATER: dict[str, Kind] = {"finding": or_none(TEXT), "value": or_none(NUMBER), "unit": NAME}

THUMBNAILS: dict[str, Kind] = {"files": unique(FILE_NAME), "height": COUNT, "width": COUNT, "columns": COUNT}

RUN: dict[str, Kind] = {
    "format": TEXT,
    "cnnexplain": NAME,
    "analysis": NAME,
    "options": by_name(ANY),
    "overview": unique(FILE_NAME),
    "input": fields({"height": SIDE, "width": SIDE}, {"bands": or_none(SIDE), "assumed": list_of(NAME)}),
    "labels": list_of(NAME),
    "model": fields({"name": NAME}, {"sha256": NAME, "output": NAME, "head": NAME, "unit": NAME}),
    "plugin": fields({"distribution": NAME, "version": NAME}, {"name": NAME}),
    "keras": fields({"version": NAME, "backend": NAME}, {}),
    "files": unique(FILE_NAME),
    "complete": FLAG,
}
"""What is common to all the images; more of `input` is seen to by `Preprocess`, `options` are the analysis' own."""

RUN_LATER: dict[str, Kind] = {
    "note": or_none(TEXT),
    "dataset": fields({"name": NAME}, {"images": COUNT, "skipped": by_name(TEXT)}),
    "request": by_name(ANY),
}

WHOLE: dict[str, Kind] = {"parts": unique(FILE_NAME), "skipped": by_name(TEXT), "seconds": SECONDS}
"""What `result.json` has beside where there are parts."""

PART: dict[str, Kind] = {
    "span": _span,
    "images": list_of(fields(IMAGE, IMAGE_LATER)),
    "facts": by_name(ANY),
    "warnings": list_of(TEXT),
    "skipped": by_name(TEXT),
    "seconds": SECONDS,
    "files": unique(FILE_NAME),
}
PART_LATER: dict[str, Kind] = {"thumbnails": or_none(fields(THUMBNAILS, {}))}
