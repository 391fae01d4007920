"""Prints the leaderboards of a benchmark: a table for each metric, which fits 80 columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.table import Column, Table
from rich.text import Text

from cnnexplain.cli import console
from cnnexplain.rendering.score_text import number

if TYPE_CHECKING:
    from cnnexplain.evaluation.leaderboard import Standing
    from cnnexplain.evaluation.scoreboard import Scoreboard

MARK = "†"
"""Marks the scores that do not beat every control."""

LONGEST = 26
"""The number of characters of the name of a method above which it is wrapped."""


WIDTH = 11
"""The width of a column of scores, at which their names are wrapped."""


def print_notes(board: Scoreboard) -> None:
    """Prints the warnings of the masks and of the analyses, and which methods and scores are missing."""
    for text in (*board.warnings, *board.notes()):
        console.complain(f"Warning: {text}", style="yellow")


def print_board(board: Scoreboard) -> None:
    """Prints a table for each metric, and how to read them."""
    for metric in board.metrics:
        if board.defined(metric):
            _print_metric(board, metric)
    count = len(board)
    console.paragraph(
        f"{count} image{'s' if count != 1 else ''}, seed {board.seed}. ↑ higher is better, ↓ lower is better. In italics: "
        f"controls, which explain no network. {MARK} does not beat every control. {_intervals(count)}".rstrip()
    )


def _intervals(count: int) -> str:
    from cnnexplain.evaluation.leaderboard import ENOUGH, RESAMPLES

    return f"Intervals: 95% bootstrap over the images ({RESAMPLES} resamples)." if count >= ENOUGH else ""


def _print_metric(board: Scoreboard, name: str) -> None:
    metric, scores = board.metrics[name], board.defined(name)
    console.out().print(Text.assemble((name, "bold"), "  ", (metric.paper, "dim")))
    console.paragraph(metric.summary)
    main, *others = scores
    standings = {score: {each.method: each for each in board.standings(name, score)} for score in scores}
    intervals = any(each.interval is not None for each in standings[main].values())
    table = Table(
        Column("Method", max_width=LONGEST, overflow="fold"),
        _column(board, name, main),
        *([Column("95% interval", justify="right", no_wrap=True)] if intervals else []),
        *(_column(board, name, score) for score in others),
        box=box.SIMPLE_HEAD,
        padding=(0, 1),
        pad_edge=False,
    )
    for method, standing in standings[main].items():
        style = "italic" if standing.kind == "control" else ""
        cells = [_mean(standing), *([_interval(standing)] if intervals else [])]
        cells += [_mean(standings[score][method]) for score in others]
        table.add_row(console.plain(method), *cells, style=style)
    console.out().print(table)
    if rule := board.rule(name):
        console.paragraph(rule, style="dim")
    console.paragraph(f"Computed with: {metric.protocol}", style="dim")
    console.paragraph(f"Cannot tell: {metric.limitations}", style="dim")
    console.say("")


def _column(board: Scoreboard, metric: str, score: str) -> Column:
    arrow = {"higher": "\u00a0↑", "lower": "\u00a0↓", "neither": ""}[board.metrics[metric].scores[score]]
    return Column(f"{score}{arrow}", justify="right", max_width=WIDTH)


def _mean(standing: Standing) -> str:
    return f"{number(standing.mean)}{MARK if standing.unbeaten else ' '}"


def _interval(standing: Standing) -> str:
    return "" if standing.interval is None else "–".join(map(number, standing.interval)).replace("–−", " to −")
