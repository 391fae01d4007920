"""The command `check-plugin`: runs the conformance tests on analyses."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from cnnexplain.cli import completion, console, keras_start
from cnnexplain.cli.options import BackendOption, VerboseOption

if TYPE_CHECKING:
    from cnnexplain.testing import Outcome

MARKS = {True: ("✓", "green"), False: ("✗", "red"), None: ("–", "yellow")}
"""Symbol and color of a check that passed, failed, or was skipped."""


def check_plugin_command() -> Callable[..., None]:
    """The command."""
    return check_plugin


def check_plugin(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="An installed analysis, plugin or distribution.",
            autocompletion=completion.analyses,
        ),
    ],
    tolerance: Annotated[
        float | None,
        typer.Option(
            min=0,
            metavar="X",
            help="Relative tolerance for results that should be equal. Default: 1e-4; results of many optimization steps "
            "may need more.",
        ),
    ] = None,
    backend: BackendOption = None,
    verbose: VerboseOption = False,
) -> None:
    """The command `check-plugin`."""
    from cnnexplain import testing

    analyses = testing.find(name)
    names = [analysis.name for analysis in analyses]
    total = sum(len(testing.checks(analysis)) for analysis in analyses)
    outcomes: dict[str, list[Outcome]] = {}
    with console.quiet(verbose), console.progress() as display:
        task = display.add_task("Starting Keras", total=total)
        keras_start.start_keras(backend)
        for analysis in analyses:
            candidate = testing.Candidate(
                analysis, tolerance=testing.TOLERANCE if tolerance is None else tolerance, together=names
            )
            outcomes[analysis.name] = []
            for check in testing.checks(analysis):
                display.update(task, description=f"{analysis.name}: {check.name}")
                outcomes[analysis.name].append(candidate.outcome(check.name))
                display.advance(task)
    for analysis in analyses:
        if len(analyses) > 1:
            console.say(analysis.name)
        for outcome in outcomes[analysis.name]:
            _print(outcome)
    concluded = [_conclude(each, found) for each, found in outcomes.items()]
    if not all(concluded):
        raise typer.Exit(1)


def _print(outcome: Outcome) -> None:
    mark, color = MARKS[outcome.passed]
    words = console.plain(outcome.message or outcome.check.requirement)
    line = Text.assemble((mark, f"bold {color}"), f" {outcome.check.name:12} ", words)
    console.out().print(line, soft_wrap=True)


def _conclude(name: str, outcomes: list[Outcome]) -> bool:
    failed = [outcome.check.name for outcome in outcomes if outcome.passed is False]
    if failed:
        console.say(f"{name} fails {len(failed)} of {len(outcomes)} checks: {', '.join(failed)}.")
    else:
        console.say(f"{name} passes all {len(outcomes)} checks.")
    return not failed
