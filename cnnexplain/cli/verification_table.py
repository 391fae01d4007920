"""Prints the checks of a result as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Column, Table
from rich.text import Text

from cnnexplain.cli import console

if TYPE_CHECKING:
    from cnnexplain.results.verification import Row, Verification

COLORS = {True: "green", False: "bold red", None: "dim"}
"""The color of each verdict."""

NAME = 16
"""The width of the names of checks; longer ones are wrapped."""


def show(found: Verification) -> None:
    """Prints a row for each check: the measured value, the limit, the verdict and what it means; then the conclusion."""
    columns = [Column("check", max_width=NAME), Column("measured", justify="right"), Column("limit", justify="right")]
    title = f"{found.analysis}, {found.model['name']}, {_images(found)}"
    table = Table(*columns, "verdict", Column("meaning", overflow="fold"), title=console.plain(title), title_justify="left")
    for row in found.rows:
        verdict = Text(row.verdict, style=COLORS[row.passed])
        table.add_row(console.plain(row.check.name), row.value, row.limit, verdict, _meaning(row, len(found.images)))
    console.out().print(table)
    console.say(f"{found.conclusion} ({found.seconds:.1f} s)")


def outcome(found: Verification) -> Text:
    """A clause with the outcome."""
    text = console.plain(found.outcome)
    text.stylize(COLORS[found.passed])
    return text


def _meaning(row: Row, images: int) -> Text:
    """What the check means, and what it has measured, for the worst of several images."""
    # A saved result is recomputed part by part; the details name the part.
    each_image = images > 1 and len(row.measurements) == images
    which = f", image {row.worst + 1}" if each_image and not row.error and row.shown.value is not None else ""
    detail = console.plain(f"[{row.shown.detail}{which}]")
    detail.stylize("dim")
    return Text.assemble(console.plain(row.check.meaning), " ", detail)


def _images(found: Verification) -> str:
    count = len(found.images)
    return found.images[0] if count == 1 else (f"{count} images" if count else "no images")
