"""Writes a report: a self-contained HTML file on a model and some images."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cnnexplain import files
from cnnexplain.errors import OutputError, UsageError
from cnnexplain.rendering import report_page, templates
from cnnexplain.rendering.drawn import draw_record

if TYPE_CHECKING:
    from cnnexplain.model.classifier import Classifier
    from cnnexplain.results.record import Record


def write_report(path: str | os.PathLike[str], classifier: Classifier, records: Sequence[Record]) -> Path:
    """Draws records and writes them into one self-contained HTML file.

    Args:
        path: The file; an existing report is replaced.
        classifier: The model of the records.
        records: Records from `cnnexplain.explain`, for the same or different images.

    Returns:
        The path.

    Raises:
        UsageError: There are no records, or one belongs to another model.
        OutputError: The file can't be written, or it exists and is not a report.
        PluginError: An analysis can't draw its record.
    """
    file = Path(path)
    if not records:
        raise UsageError("A report needs at least one record from cnnexplain.explain(), but got none.")
    check(file)
    write(file, report_page.render([draw_record(record) for record in records], classifier))
    return file


def check(path: Path) -> None:
    """Checks that a report may be written to `path`.

    Raises:
        OutputError: There is a file that is not a report, or the folder can't be written.
    """
    files.check_writable(path)
    try:
        if os.path.lexists(path) and templates.MARK.encode() not in _start(path):
            raise OutputError(f"'{path}' exists and is not a report of cnnexplain; choose another path for the report.")
    except OSError as error:
        raise OutputError(f"Can't replace '{path}': {error.strerror}.") from error


def write(path: Path, html: str) -> None:
    """Writes a page atomically.

    Raises:
        OutputError: It can't be written.
    """
    with files.replacing(path) as temporary:
        # A file name that is not valid Unicode becomes an escape sequence.
        temporary.write_bytes(html.encode("utf-8", errors="backslashreplace"))


def _start(path: Path) -> bytes:
    with files.opened(path) as file:
        return file.read(200)
