"""Reads `result.json` and the files of its parts, checked against the schema."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cnnexplain import __version__
from cnnexplain.errors import OutputError
from cnnexplain.results import former_results, json_files, schema, verification_json
from cnnexplain.results.damage import DamageError, damaged
from cnnexplain.results.file_names import RESULT, part_name
from cnnexplain.results.verification import Verification


def read_result(folder: Path) -> dict[str, Any]:
    """The content of `result.json` in a folder, checked.

    Raises:
        OutputError: It is damaged, or this version can't read it.
    """
    path = folder / RESULT
    try:
        content = json_files.read(path)
        if content.get("format") != schema.FORMAT:
            raise OutputError(f"'{path}' was not written by cnnexplain {__version__}{schema.later_version(content)}.")
        if schema.unfinished(content):
            raise OutputError(
                f"The folder '{folder}' contains an incomplete result: a run ended while writing it. Run the analysis again."
            )
        content = former_results.result(content)
        schema.check_result(content)
    except DamageError as damage:
        raise damaged(folder, f"{RESULT}: {damage}") from damage
    return content


def read_parts(folder: Path, result: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The contents of the parts of a result, one after another, or the result itself if it was written as a whole.

    Args:
        folder: The folder of the result.
        result: The content of its `result.json`.

    Raises:
        OutputError: One is damaged.
    """
    if "images" in result and "parts" not in result:
        yield dict(result)
    start = 0
    for number in range(1, len(result.get("parts", [])) + 1):
        part = read_part(folder, part_name(number), result)
        if part["span"][0] != start:
            reason = f"{part_name(number)}: it begins with image {part['span'][0]} instead of {start}"
            raise damaged(folder, reason)
        start = part["span"][1]
        yield part


def read_part(folder: Path, name: str, result: Mapping[str, Any]) -> dict[str, Any]:
    """The content of the file of a part, checked.

    Args:
        folder: The folder of the result.
        name: The name of the file.
        result: The content of `result.json`.

    Raises:
        OutputError: It is damaged.
    """
    try:
        content = former_results.part(json_files.read(folder / name), result)
        schema.check_part(content, result["labels"])
    except DamageError as damage:
        raise damaged(folder, f"{name}: {damage}") from damage
    return content


def read_verification(folder: Path) -> Verification | None:
    """The verification of all images of a result; None if some are not verified.

    Raises:
        OutputError: The result is damaged.
    """
    result = read_result(folder)
    return verification_json.of_parts(result, read_parts(folder, result))
