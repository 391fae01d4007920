"""The display of records in notebooks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnnexplain.rendering import templates
from cnnexplain.rendering.method_entries import option_rows
from cnnexplain.rendering.pictures import png
from cnnexplain.rendering.templates import data_uri

if TYPE_CHECKING:
    from cnnexplain.results.record import Record

SHOWN = 3
"""Images of a record that a notebook shows."""


def record_html(record: Record) -> str:
    """The first pictures of a record, or its overview, as HTML without scripts and style sheets."""
    figures = [(record.explained[index].source.name, png(record.figure(index))) for index in range(min(len(record), SHOWN))]
    if not len(record):
        figures = [(title, png(figure)) for title, figure in list(record.overview().items())[:SHOWN]]
    return templates.get("record.html").render(
        record=record,
        pictures=[(title, data_uri(picture, "png")) for title, picture in figures],
        options=[option for option in option_rows(record.analysis, record.options) if option["changed"]],
    )


def record_png(record: Record) -> bytes:
    """The first picture of a record as PNG, for notebooks that show no HTML."""
    return png(record.figure(0) if len(record) else next(iter(record.overview().values())))
