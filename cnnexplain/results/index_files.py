"""What a browser shows of a result's folder, as files: `index.html` and the sheets of thumbnails on it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnexplain.rendering import index_page, thumbnails

if TYPE_CHECKING:
    from cnnexplain.plugin.analysis import Analysis
    from cnnexplain.results.record import Record


def write_index(
    path: Path, analysis: Analysis, result: Mapping[str, Any], parts: Iterable[Mapping[str, Any]], count: int
) -> None:
    """Writes the page of a result's folder; the arguments after `path` are those of `index_page.render`."""
    # A file name that is not valid Unicode becomes an escape sequence.
    with path.open("w", encoding="utf-8", errors="backslashreplace", newline="\n") as file:
        file.writelines(index_page.render(analysis, result, parts, count))


def write_thumbnails(record: Record, folder: Path, stem: str) -> dict[str, Any]:
    """Writes the thumbnails of a record.

    Args:
        record: The record.
        folder: Where the sheets go.
        stem: The files are named `stem.webp`, and if there are more sheets `stem-2.webp` and so on.

    Returns:
        JSON-able: "files", the names of the sheets, and what `thumbnails.layout` says.

    Raises:
        PluginError: The analysis can't give what is laid over an image.
    """
    names = []
    for number, sheet in enumerate(thumbnails.sheets(record), start=1):
        names.append(f"{stem}.webp" if number == 1 else f"{stem}-{number}.webp")
        (folder / names[-1]).write_bytes(sheet)
    return {"files": names, **thumbnails.layout(record)}
