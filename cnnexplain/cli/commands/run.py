"""The command `run`: a subcommand for each analysis, created from its signature, and `run all`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import typer
from rich.markup import escape

from cnnexplain.cli import console, documents, execution, session, summary, verifying
from cnnexplain.cli.inputs import Inputs, load_inputs
from cnnexplain.cli.options import Declared, analysis_options, declare, typed
from cnnexplain.cli.outcome import Outcome, Outcomes, empty_outcome
from cnnexplain.cli.run_options import RunArguments, run_arguments, run_options
from cnnexplain.errors import CnnExplainError, InterruptionError
from cnnexplain.interruption import plainly
from cnnexplain.plugin.analysis import ALL
from cnnexplain.plugin.options import validate

if TYPE_CHECKING:
    from cnnexplain.plugin.analysis import Analysis
    from cnnexplain.results.picture_workers import PictureWorkers

ALL_HELP = "Run every installed analysis with its default options, in one process."


def run_app(bare: Callable[[], None]) -> typer.Typer:
    """The subcommands; `bare` is called if none is given."""
    run = typer.Typer(invoke_without_command=True)

    @run.callback()
    def callback(context: typer.Context) -> None:
        if context.invoked_subcommand is None:
            bare()

    run.command(ALL, help=ALL_HELP)(_all_command())
    analyses = session.registry().analyses
    for analysis in analyses.values():
        run.command(analysis.name, help=_help(analysis))(_command(analysis))
    for name, problem in analyses.clashes.items():
        anything = {"ignore_unknown_options": True, "allow_extra_args": True}
        run.command(name, hidden=True, help=escape(str(problem)), context_settings=anything)(_refusal(name))
    return run


def _refusal(name: str) -> Callable[..., None]:
    """The command for a name that several plugins use, which reports the error."""

    def refuse() -> None:
        session.registry().get(name)

    return refuse


def _help(analysis: Analysis) -> str:
    plugin = session.registry().analyses.suppliers[analysis.name]
    # Texts of plugins may contain brackets, which Typer would interpret as markup.
    return escape(f"{analysis.summary}\n\nPaper: {analysis.paper}.\n\nFrom: {plugin.distribution} {plugin.version}.")


def _command(analysis: Analysis) -> Callable[..., None]:
    """The command of one analysis: the options for its inputs, then its own options."""

    def command(*, context: typer.Context, **given: Any) -> None:
        # A control from a configuration file is for the other analyses.
        if given["control"] and not analysis.maps:
            if "control" in typed(context):
                analysis.check_control()
            given["control"] = False
        own = {parameter.name: given.pop(parameter.name) for parameter in analysis.options}
        session.warn_of_problems()
        options = validate(analysis.options, own)
        _run_one(analysis, options, run_arguments(given))

    options = run_options(analysis.inputs, f"FOLDER/{analysis.name}", maps=bool(analysis.maps))
    with_context: Declared = {"context": (typer.Context, inspect.Parameter.empty)}
    return declare(command, with_context | options | analysis_options(analysis.options))


def _all_command() -> Callable[..., None]:
    inputs = sorted({name for analysis in session.registry().analyses.values() for name in analysis.inputs})

    def command(**given: Any) -> None:
        session.warn_of_problems()
        _run_all(run_arguments(given))

    return declare(command, run_options(inputs, "FOLDER/ANALYSIS"))


def _run_one(analysis: Analysis, options: Mapping[str, Any], arguments: RunArguments) -> None:
    with console.document(arguments.json) as emit:
        outcome = empty_outcome(analysis, arguments.out, all_names=arguments.json)
        inputs = _explain(analysis, options, arguments, outcome)
        if arguments.json:
            summary.print_assumptions(inputs.classifier)
            summary.print_warnings([outcome])
            emit(documents.run_document(analysis, outcome))
        else:
            summary.print_run(analysis, arguments, inputs, outcome)
    if not outcome.passed:
        raise typer.Exit(1)


def _explain(analysis: Analysis, options: Mapping[str, Any], arguments: RunArguments, outcome: Outcome) -> Inputs:
    """Runs one analysis and writes its results."""
    from cnnexplain.results import lock
    from cnnexplain.results.picture_workers import PictureWorkers
    from cnnexplain.results.result_folder import check_folder

    check_folder(outcome.folder)
    workers = PictureWorkers()
    try:
        with (
            plainly(),
            lock.held(outcome.folder),
            console.quiet(arguments.verbose),
            console.progress() as display,
            workers,
        ):
            inputs = load_inputs([analysis], arguments, display)
            # How many images an earlier run has finished is not known yet.
            if arguments.verify and not arguments.resume:
                from cnnexplain.pipeline import plan

                count = 0 if inputs.images is None else len(inputs.images)
                planned = plan.plan_run(analysis, options, inputs.classifier, count, control=arguments.control)
                verifying.announce([planned], inputs.classifier, plan.measured(inputs.classifier))
            drawn = console.bar(display, "Drawing pictures")
            execution.run_analysis(analysis, options, arguments, inputs, outcome, display, workers=workers, drawn=drawn)
            workers.wait(outcome.folder, drawn)
            return inputs
    except KeyboardInterrupt as interruption:
        done = outcome.images + outcome.kept
        if not done and not outcome.verifying:
            raise
        if not done:
            # An analysis of the model itself, which is not resumed.
            raise InterruptionError(
                f"Interrupted: the result is done and kept in {outcome.folder}, but not verified; the same command runs it "
                "again."
            ) from interruption
        unverified = f"{'not all of them are' if done > 1 else 'it is not'} verified; " if outcome.verifying else ""
        undrawn = _undrawn(workers)
        raise InterruptionError(
            f"Interrupted: {done} images are done and kept in {outcome.folder}; {unverified}{undrawn}the same command with "
            f"--resume continues{', or cnnexplain redraw draws the pictures' if undrawn else ''}."
        ) from interruption


def _undrawn(workers: PictureWorkers) -> str:
    """How many pictures an interruption leaves undrawn, as a part of a sentence; "" if there are none."""
    left = workers.total - workers.done
    return f"{left} of their pictures {'is' if left == 1 else 'are'} not drawn; " if left else ""


def _run_all(arguments: RunArguments) -> None:
    """Runs every installed analysis; if one fails, the others still run."""
    with console.document(arguments.json) as emit:
        analyses = list(session.registry().analyses.values())
        if not analyses:
            raise CnnExplainError("No analysis is installed.")
        outcomes = Outcomes.before(analyses, arguments.out, all_names=arguments.json)
        _explain_all(outcomes, arguments)
        assert outcomes.inputs is not None
        if arguments.json:
            summary.print_assumptions(outcomes.inputs.classifier)
            summary.print_warnings([outcomes.by_name[name] for name in outcomes.done])
            entries = [
                documents.run_document(each, outcomes.by_name[each.name], outcomes.failed.get(each.name))
                for each in analyses
            ]
            emit({"analyses": entries})
            outcomes.check()
        else:
            summary.print_several(outcomes, arguments)
    if not outcomes.passed:
        raise typer.Exit(1)


def _explain_all(outcomes: Outcomes, arguments: RunArguments) -> None:
    from cnnexplain.results import lock
    from cnnexplain.results.picture_workers import PictureWorkers

    folders = [outcome.folder for outcome in outcomes.by_name.values()]
    workers = PictureWorkers()
    try:
        with (
            plainly(),
            lock.held_all(folders),
            console.quiet(arguments.verbose),
            console.progress() as display,
            workers,
        ):
            execution.run_several(outcomes, arguments, display, workers=workers)
    except KeyboardInterrupt as interruption:
        kept = f"kept in {arguments.out}: {outcomes.kept}" if outcomes.kept else "no analysis had finished"
        undrawn = _undrawn(workers)
        raise InterruptionError(
            f"Interrupted; {kept}. {undrawn.capitalize()}{'t' if undrawn else 'T'}he same command with --resume continues."
        ) from interruption
