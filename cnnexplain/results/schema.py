"""What `result.json` and the files of its parts hold: each value is seen to be of its kind before anything is done with it.

A result that was written as a whole has the keys of `RUN` and of `PART` in `result.json`. One that was written in parts has
those of `RUN` and `WHOLE` there, and those of `PART` in a file for each part. Keys that are not named here may be there too:
a later version may write more. While files are moved to their places `result.json` has the format and their names alone.
"""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cnnexplain import __version__, files
from cnnexplain.errors import OutputError, line

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

BYTES, ITEMS = 1 << 26, 1 << 22
"""How many bytes a file of JSON may have, and how many values, which take ten times the memory and more."""

LONGEST = 10_000
"""Characters of what is the name of something, such as of an image or a class."""

Kind = Callable[[Any, str], None]
"""Sees that a value, called by its place, is of a kind.

Raises:
    DamageError: It is not.
"""


class DamageError(ValueError):
    """What is wrong with a file, in a few words."""


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
        content = read(path)
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
        content = read(folder / name)
        check_part(content, result["labels"])
        if content["span"][0] != start:
            raise DamageError(f"it begins with image {content['span'][0]} in place of {start}")
    except DamageError as damage:
        raise damaged(folder, f"{name}: {damage}") from damage
    return content


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
    _fields(RUN, RUN_LATER)(content, "")
    if not set(content["overview"]) <= set(filter(PICTURE.fullmatch, content["files"])):
        raise DamageError("the pictures of 'overview' are others than were written")
    if "parts" in content:
        _fields(WHOLE, {})(content, "")
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
    _fields(PART, PART_LATER)(content, "")
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


def _is_file(name: str) -> bool:
    return FILE.fullmatch(name) is not None and len(name.encode(errors="replace")) <= 255


def _wrong(value: Any, place: str, expected: str) -> DamageError:
    found = "nothing" if value is None else f"{json.dumps(value)!s:.40}" if not isinstance(value, dict | list) else ""
    found = found or ("a list" if isinstance(value, list) else "an object")
    return DamageError(f"{place or 'it'} is {found} in place of {expected}")


def _of(expected: str, fits: Callable[[Any], bool]) -> Kind:
    """The kind of the values that fit."""

    def check(value: Any, place: str) -> None:
        if not fits(value):
            raise _wrong(value, place, expected)

    return check


def _real(value: Any, low: float = -math.inf, high: float = math.inf) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high


def _natural(value: Any) -> bool:
    return _real(value, 0, 2**53) and isinstance(value, int)


def _or_none(kind: Kind) -> Kind:
    """That kind, or nothing."""

    def check(value: Any, place: str) -> None:
        if value is not None:
            kind(value, place)

    return check


def _list(kind: Kind) -> Kind:
    """Any number of values of a kind."""

    def check(value: Any, place: str) -> None:
        if not isinstance(value, list):
            raise _wrong(value, place, "a list")
        for number, each in enumerate(value):
            kind(each, f"{place}[{number}]")

    return check


def _by_name(kind: Kind) -> Kind:
    """An object with any keys whose values are of a kind."""

    def check(value: Any, place: str) -> None:
        if not isinstance(value, dict):
            raise _wrong(value, place, "an object")
        for name, each in value.items():
            kind(each, f"{place}[{name!r:.40}]")

    return check


def _fields(needed: Mapping[str, Kind], later: Mapping[str, Kind]) -> Kind:
    """An object with these keys; those that earlier versions do not write may be missing."""

    def check(value: Any, place: str) -> None:
        if not isinstance(value, dict):
            raise _wrong(value, place, "an object")
        missing = [name for name in needed if name not in value]
        if missing:
            raise DamageError(f"'{missing[0]}' is missing" + (f" in {place}" if place else ""))
        for name, kind in itertools.chain(needed.items(), later.items()):
            if name in value:
                kind(value[name], f"{place}['{name}']" if place else f"'{name}'")

    return check


def _unique(kind: Kind) -> Kind:
    """A list of values of a kind, none of them twice."""

    def check(value: Any, place: str) -> None:
        _list(kind)(value, place)
        if len(set(value)) != len(value):
            raise DamageError(f"{place} has something twice")

    return check


def _span(value: Any, place: str) -> None:
    _list(COUNT)(value, place)
    if len(value) != 2 or value[0] > value[1]:
        raise DamageError(f"{place} is not two places, the first and the one after the last")


ANY = _of("anything", lambda _: True)
TEXT = _of("text", lambda value: isinstance(value, str))
NAME = _of(f"text of up to {LONGEST} characters", lambda value: isinstance(value, str) and len(value) <= LONGEST)
FLAG = _of("true or false", lambda value: isinstance(value, bool))
COUNT = _of("a whole number of at least 0", _natural)
SIDE = _of("a whole number up to a million", lambda value: _natural(value) and value <= 10**6)
NUMBER = _of("a number", _real)
SECONDS = _of("a number of at least 0", lambda value: _real(value, 0))
# A softmax in 32 bits may come to a little more than 1.
PROBABILITY = _of("a probability", lambda value: _real(value, 0, 1.001))
FILE_NAME = _of("the name of a file of ours", lambda value: isinstance(value, str) and _is_file(value))

IMAGE: dict[str, Kind] = {
    "source": NAME,
    "sha256": NAME,
    "inverted": FLAG,
    "resized": FLAG,
    "prediction": NAME,
    "prediction_index": COUNT,
    "probability": _or_none(PROBABILITY),
    "target": _or_none(NAME),
    "target_index": _or_none(COUNT),
    "target_probability": _or_none(PROBABILITY),
    "objective": _or_none(NAME),
    "picture": TEXT,
}
IMAGE_LATER: dict[str, Kind] = {"finding": _or_none(TEXT), "value": _or_none(NUMBER), "unit": NAME}

THUMBNAILS: dict[str, Kind] = {"files": _unique(FILE_NAME), "height": COUNT, "width": COUNT, "columns": COUNT}

RUN: dict[str, Kind] = {
    "format": TEXT,
    "cnnexplain": NAME,
    "analysis": NAME,
    "options": _by_name(ANY),
    "overview": _unique(FILE_NAME),
    "input": _fields({"height": SIDE, "width": SIDE}, {"bands": _or_none(SIDE), "assumed": _list(NAME)}),
    "labels": _list(NAME),
    "model": _fields({"name": NAME}, {"sha256": NAME, "output": NAME, "head": NAME, "unit": NAME}),
    "plugin": _fields({"distribution": NAME, "version": NAME}, {"name": NAME}),
    "keras": _fields({"version": NAME, "backend": NAME}, {}),
    "files": _unique(FILE_NAME),
    "complete": FLAG,
}
"""What is common to all the images; more of `input` is seen to by `Preprocess`, `options` are the analysis' own."""

RUN_LATER: dict[str, Kind] = {
    "note": _or_none(TEXT),
    "dataset": _fields({"name": NAME}, {"images": COUNT, "skipped": _by_name(TEXT)}),
    "request": _by_name(ANY),
}

WHOLE: dict[str, Kind] = {"parts": _unique(FILE_NAME), "skipped": _by_name(TEXT), "seconds": SECONDS}
"""What `result.json` has beside where there are parts."""

PART: dict[str, Kind] = {
    "span": _span,
    "images": _list(_fields(IMAGE, IMAGE_LATER)),
    "facts": _by_name(ANY),
    "warnings": _list(TEXT),
    "skipped": _by_name(TEXT),
    "seconds": SECONDS,
    "files": _unique(FILE_NAME),
}
PART_LATER: dict[str, Kind] = {"thumbnails": _or_none(_fields(THUMBNAILS, {}))}
