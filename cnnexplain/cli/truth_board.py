"""`cnnexplain benchmark --truth`: compares methods on networks whose relevant pixels are known."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich import box
from rich.table import Column, Table

from cnnexplain.cli import console, keras_start, options, scoreboard_tables
from cnnexplain.errors import InterruptionError, UsageError
from cnnexplain.interruption import plainly
from cnnexplain.rendering.score_text import number

if TYPE_CHECKING:
    from cnnexplain.evaluation.leaderboard import Standing
    from cnnexplain.evaluation.truth.leaderboard import TruthBoard


FOLDER = "truth"
"""The folder with the page and the numbers, in that of --out."""

TAKEN = ("words", "truth", "case", "seed", "out", "resume", "backend", "json", "verbose")
"""The parameters of the command that have a meaning with --truth."""


def check(images: Sequence[str], context: typer.Context) -> None:
    """Checks that only options are given that have a meaning with --truth.

    Raises:
        UsageError: Images or another option is given.
    """
    typed = [name for name in options.typed(context) if name not in TAKEN]
    given = [each.opts[0] for each in context.command.params if each.name in typed]
    if images or given:
        words = ", ".join([*images, *given])
        raise UsageError(f"--truth uses its own networks, images and metrics; leave out {words}.")


def measure(
    analyses: Sequence[str],
    cases: Sequence[str] | None,
    seed: int,
    out: Path,
    backend: str | None,
    *,
    resume: bool,
    verbose: bool,
) -> TruthBoard:
    """Makes the cases, computes the scores, and writes the page and all numbers to a folder."""
    done = [0, 0]
    try:
        with plainly(), console.quiet(verbose), console.progress() as display:
            task = display.add_task("Starting Keras", total=None)
            keras_start.start_keras(backend)
            from cnnexplain.evaluation.truth.compare import benchmark_truth
            from cnnexplain.results import lock

            display.remove_task(task)
            update = console.bar(display, "Training networks and scoring")

            def progress(number: int, count: int) -> None:
                done[:] = number, count
                update(number, count)

            with lock.held(out):
                return benchmark_truth(
                    analyses or None, cases=cases or None, seed=seed, out=out, resume=resume, progress=progress
                )
    except KeyboardInterrupt as interruption:
        if not done[0]:
            raise
        raise InterruptionError(
            f"Interrupted: the scores of {done[0]} of {done[1]} networks are kept in {out}; the same command with "
            "--resume continues."
        ) from interruption


def print_board(board: TruthBoard) -> None:
    """Prints the leaderboard over all cases and how to read it."""
    first, *others = board.first.metrics
    standings = {name: {each.method: each for each in board.standings(name)} for name in board.first.metrics}
    groups = {"by weights": board.standings(first, trained=False), "trained": board.standings(first, trained=True)}
    by_group = {name: {each.method: each for each in group} for name, group in groups.items() if group}
    table = Table(
        Column("Method", max_width=scoreboard_tables.LONGEST, overflow="fold"),
        *(Column(name.replace("-", " "), justify="right", max_width=scoreboard_tables.WIDTH) for name in (first, *others)),
        *(Column(name, justify="right", max_width=scoreboard_tables.WIDTH) for name in by_group if len(by_group) > 1),
        box=box.SIMPLE_HEAD,
        padding=(0, 1),
        pad_edge=False,
    )
    for method, standing in standings[first].items():
        scores = [standings[name][method] for name in (first, *others)]
        scores += [group[method] for group in by_group.values() if len(by_group) > 1]
        table.add_row(console.plain(method), *map(_cell, scores), style="italic" if standing.kind == "control" else "")
    for note in board.notes():
        console.complain(f"Warning: {note}", style="yellow")
    console.out().print(table)
    for name, case in board.summaries.items():
        checked = ", ".join(f"{what} {value:.1%}" for what, value in case.figures.items())
        console.paragraph(f"{name}: {case.right}{f' ({checked})' if checked else ''}", style="dim")
    images, count = next(iter(board.summaries.values())).images, len(board.summaries)
    groups_told = (
        f"Last columns: {first} for networks whose weights show what is relevant (gradients are zero elsewhere), and for "
        "trained ones. "
    )
    console.paragraph(
        f"{count} network{'s' if count > 1 else ''} with {images} images each, seed {board.seed}. Higher is better. In "
        f"italics: controls, which ignore the network. {scoreboard_tables.MARK} does not beat every control. "
        f"{groups_told if len(by_group) > 1 else ''}--json prints all figures, with intervals."
    )


def _cell(standing: Standing) -> str:
    return f"{number(standing.mean)}{scoreboard_tables.MARK if standing.unbeaten else ' '}"
