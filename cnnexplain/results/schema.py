"""The schema of `result.json` and of the files of its parts.

A result without parts has the keys of `RUN` and `PART` in `result.json`. A result with parts has those of `RUN` and `WHOLE`
there, and those of `PART` in a file for each part. Other keys are allowed, since a later version may write more. While files
are moved to their places, `result.json` contains only the format and their names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from cnnexplain.results import verification_json
from cnnexplain.results.damage import DamageError
from cnnexplain.results.file_names import PICTURE, is_ours, part_name
from cnnexplain.results.json_kinds import (
    ANY,
    COUNT,
    FILE_NAME,
    FLAG,
    NAME,
    NUMBER,
    PROBABILITY,
    SECONDS,
    SIDE,
    TEXT,
    Kind,
    by_name,
    fields,
    list_of,
    optional,
    span,
    unique,
)

FORMAT = "cnnexplain result 1"
"""The value of "format" in `result.json`, by which a folder is recognized as a result."""

PROVENANCE = ("dataset", "model", "plugin", "keras")
"""The keys of `Record.provenance`."""

IMAGE: dict[str, Kind] = {
    "source": NAME,
    "sha256": NAME,
    "inverted": FLAG,
    "resized": FLAG,
    "prediction": NAME,
    "prediction_index": COUNT,
    "probability": optional(PROBABILITY),
    "target": optional(NAME),
    "target_index": optional(COUNT),
    "target_probability": optional(PROBABILITY),
    "objective": optional(NAME),
    "picture": optional(TEXT),
}

IMAGE_LATER: dict[str, Kind] = {"finding": optional(TEXT), "control_note": TEXT, "value": optional(NUMBER), "unit": NAME}

THUMBNAILS: dict[str, Kind] = {"files": unique(FILE_NAME), "height": COUNT, "width": COUNT, "columns": COUNT}

RUN: dict[str, Kind] = {
    "format": TEXT,
    "cnnexplain": NAME,
    "analysis": NAME,
    "options": by_name(ANY),
    "overview": unique(FILE_NAME),
    "input": fields({"height": SIDE, "width": SIDE}, {"bands": optional(SIDE), "assumed": list_of(NAME)}),
    "labels": list_of(NAME),
    "model": fields({"name": NAME}, {"sha256": NAME, "output": NAME, "head": NAME, "unit": NAME}),
    "plugin": fields({"distribution": NAME, "version": NAME}, {"name": NAME}),
    "keras": fields({"version": NAME, "backend": NAME}, {}),
    "files": unique(FILE_NAME),
    "complete": FLAG,
}
"""Keys that apply to all images. `Preprocess` checks `input` further, and the analysis interprets `options`."""

RUN_LATER: dict[str, Kind] = {
    "limitations": optional(TEXT),
    "dataset": fields({"name": NAME}, {"images": COUNT, "skipped": by_name(TEXT)}),
    "request": by_name(ANY),
}

WHOLE: dict[str, Kind] = {"parts": unique(FILE_NAME), "skipped": by_name(TEXT), "seconds": SECONDS}
"""Additional keys of `result.json` if there are parts."""

PART: dict[str, Kind] = {
    "span": span,
    "images": list_of(fields(IMAGE, IMAGE_LATER)),
    "facts": by_name(ANY),
    "warnings": list_of(TEXT),
    "skipped": by_name(TEXT),
    "seconds": SECONDS,
    "files": unique(FILE_NAME),
}

PART_LATER: dict[str, Kind] = {
    "thumbnails": optional(fields(THUMBNAILS, {})),
    "control": fields({"facts": by_name(ANY)}, {}),
    "verification": optional(verification_json.CONTENT),
}


def unfinished(content: Mapping[str, Any]) -> bool:
    """Whether this is the interim content of `result.json`, while files are moved to their places."""
    return "analysis" not in content


def file_names(content: Mapping[str, Any]) -> list[str]:
    """The files of a result that is to be replaced, without invalid names; other errors in it do not matter.

    Raises:
        DamageError: It is not a result of this format, or does not list its files.
    """
    if content.get("format") != FORMAT:
        raise DamageError(f"its format is not '{FORMAT}'{later_version(content)}")
    names = content.get("files")
    if not isinstance(names, list):
        raise DamageError("it does not list its files")
    return [name for name in names if isinstance(name, str) and is_ours(name)]


def check_result(content: Mapping[str, Any]) -> None:
    """Checks the content of `result.json`.

    Raises:
        DamageError: It does not follow the schema.
    """
    fields(RUN, RUN_LATER)(content, "")
    if not set(content["overview"]) <= set(filter(PICTURE.fullmatch, content["files"])):
        raise DamageError("the pictures of 'overview' are not among its files")
    if "parts" in content:
        fields(WHOLE, {})(content, "")
        if content["parts"] != [part_name(number) for number in range(1, len(content["parts"]) + 1)] or not content["parts"]:
            raise DamageError("'parts' are not numbered from 1")
    else:
        check_part(content, content["labels"])
        if content["span"][0]:
            raise DamageError("'span' does not begin with the first image")


def check_part(content: Mapping[str, Any], labels: Sequence[str]) -> None:
    """Checks what is specific to a part, or to a result that was written as a whole.

    Args:
        content: The content of the file.
        labels: The labels of the result.

    Raises:
        DamageError: It does not follow the schema.
    """
    fields(PART, PART_LATER)(content, "")
    (start, stop), images = content["span"], content["images"]
    # Images that can't be read are listed by name, and several may have the same name.
    if len(images) > stop - start or (len(images) < stop - start and not content["skipped"]):
        raise DamageError(f"'images' has {len(images)} entries for those from {start} to {stop}")
    for index in (index for image in images for index in (image["prediction_index"], image["target_index"])):
        if index is not None and index >= len(labels):
            raise DamageError(f"class {index} of {len(labels)}")
    if any((image["probability"] is None) == (image.get("value") is None) for image in images):
        raise DamageError("an image must have either a probability or a value")
    own = [image["picture"] for image in images if image["picture"] is not None]
    if len(set(own)) < len(own) or not set(own) <= set(filter(PICTURE.fullmatch, content["files"])):
        raise DamageError("its pictures are duplicates or not among its files")
    if len([name for name in content["files"] if name.endswith(".npz")]) != 1:
        raise DamageError("'files' must contain one file of arrays")
    if content.get("verification") is not None:
        verification_json.check(content["verification"], len(images))


def later_version(content: Mapping[str, Any]) -> str:
    """Text for an error if a later version of cnnexplain has written this, otherwise ""."""
    name = content.get("format")
    later = isinstance(name, str) and re.fullmatch(r"cnnexplain result [0-9]{1,9}", name)
    return f" but by a later version ('{name}'): use that version" if later else ""
