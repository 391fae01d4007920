"""Writes `index.html` of a result and its sheets of thumbnails."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnexplain.rendering import index_page, thumbnails

if TYPE_CHECKING:
    from cnnexplain.plugin.analysis import Analysis
    from cnnexplain.results.record import Record
    from cnnexplain.results.verification import Verification


def write_index(
    path: Path,
    analysis: Analysis,
    result: Mapping[str, Any],
    parts: Iterable[Mapping[str, Any]],
    count: int,
    verification: Verification | None = None,
) -> None:
    """Writes the index page of a result; the arguments after `path` are those of `index_page.render`."""
    # A file name that is not valid Unicode becomes an escape sequence.
    with path.open("w", encoding="utf-8", errors="backslashreplace", newline="\n") as file:
        file.writelines(index_page.render(analysis, result, parts, count, verification))


def write_thumbnails(record: Record, folder: Path, stem: str) -> dict[str, Any]:
    """Writes the thumbnails of a record.

    Args:
        record: The record.
        folder: The folder for the sheets.
        stem: The files are named `stem.webp`, `stem-2.webp` and so on.

    Returns:
        JSON-able: "files", the names of the sheets, and the values of `thumbnails.layout`.

    Raises:
        PluginError: `Analysis.overlay` failed.
    """
    names = []
    for number, sheet in enumerate(thumbnails.sheets(record), start=1):
        names.append(f"{stem}.webp" if number == 1 else f"{stem}-{number}.webp")
        (folder / names[-1]).write_bytes(sheet)
    return {"files": names, **thumbnails.layout(record)}
