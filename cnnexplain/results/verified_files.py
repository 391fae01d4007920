"""Adds verifications to a result that is already written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnexplain import files, interruption
from cnnexplain.results import index_files, json_files, lock, reader, result_files, verification_json
from cnnexplain.results.file_names import INDEX, RESULT

if TYPE_CHECKING:
    from cnnexplain.plugin.analysis import Analysis
    from cnnexplain.results.record import Record


def unverified(folder: Path, analysis: Analysis, result: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The fields of a record of each part of a result that is not verified, read one by one.

    Args:
        folder: The folder of the result.
        analysis: The analysis.
        result: The content of `result.json`; empty if there is no result.

    Raises:
        OutputError: One is damaged.
    """
    for part in result_files.read_parts(folder, result):
        if part.get("verification") is None:
            yield reader.read_part(folder, analysis, result, part)


def add(folder: Path, record: Record, result: Mapping[str, Any]) -> dict[str, Any]:
    """Adds the verification of a record to the file of its part, and to the page.

    Each file is replaced by itself, so that the result can be read at any moment.

    Args:
        folder: The folder of the result, which the caller has locked.
        record: A part of the result, with its verification.
        result: The content of `result.json`.

    Returns:
        The new content of `result.json`.

    Raises:
        OutputError: A file can't be written, or a part is damaged.
    """
    assert record.verification is not None
    lock.check(folder)
    parts = dict(zip(result.get("parts", [RESULT]), result_files.read_parts(folder, result), strict=True))
    (name,) = (name for name, part in parts.items() if part["span"] == [record.span.start, record.span.stop])
    parts[name] = {**parts[name], "verification": verification_json.write(record.verification)}
    content: dict[str, Any] = parts.get(RESULT, dict(result))
    with files.staging(folder) as staged:
        json_files.write(staged / name, parts[name])
        json_files.write(staged / RESULT, content)
        count = sum(len(part["images"]) for part in parts.values())
        verification = verification_json.of_parts(content, parts.values())
        index_files.write_index(staged / INDEX, record.analysis, content, parts.values(), count, verification)
        with interruption.held():
            for each in dict.fromkeys([name, INDEX, RESULT]):
                (staged / each).replace(folder / each)
    return content
