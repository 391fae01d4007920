"""The command `report`: several analyses of a few images in one HTML file."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cnnexplain.cli import completion, configuration_files, console, execution, session, summary
from cnnexplain.cli.options import declare
from cnnexplain.cli.outcome import Outcomes
from cnnexplain.cli.run_options import RunArguments, run_arguments, run_options
from cnnexplain.errors import CnnExplainError, InterruptionError, UsageError
from cnnexplain.inputs import datasets
from cnnexplain.interruption import plainly

if TYPE_CHECKING:
    from cnnexplain.model.classifier import Classifier
    from cnnexplain.plugin.analysis import Analysis
    from cnnexplain.rendering.drawn import Drawn
    from cnnexplain.results.record import Record
    from cnnexplain.training.evaluation import Evaluation

REPORT = "report.html"

MOST = 20
"""Maximum number of images of a report, so that the file stays small enough to mail."""


def report_command() -> Callable[..., None]:
    """The command, with the options for the inputs of all analyses."""
    analysis = typer.Option(
        "--analysis",
        metavar="NAME",
        help="An analysis to run. Default: all. (Repeatable.)",
        autocompletion=completion.analyses,
    )
    full = typer.Option("--full", help="Run the analyses with their default options instead of faster ones.")
    inputs = sorted({name for analysis in session.registry().analyses.values() for name in analysis.inputs})
    options = run_options(inputs, f"FOLDER/ANALYSIS, and the page to FOLDER/{REPORT}")
    # A report contains only results of this run, with PNG pictures.
    for name in ("resume", "format", "json"):
        options.pop(name, None)
    first = {name: options.pop(name) for name in ("images",) if name in options}
    chosen = {"analysis": (Annotated[list[str] | None, analysis], None), "full": (Annotated[bool, full], False)}
    declared = {**first, **chosen, **options}

    def command(**given: Any) -> None:
        session.warn_of_problems()
        defaults = {name: default for name, (_, default) in declared.items()}
        # KERAS_BACKEND is added, so that the command gives the same result on another machine.
        used = {**given, "backend": given["backend"] or os.environ.get("KERAS_BACKEND") or None}
        typed = command_line(used, defaults, configured=bool(configuration_files.default_files()))
        analyses, full = _analyses(given.pop("analysis")), given.pop("full")
        _report(analyses, run_arguments({**given, "format": "png"}), typed, full=full)

    return declare(command, declared)


def command_line(given: Mapping[str, Any], defaults: Mapping[str, Any], *, configured: bool) -> str:
    """The command line with these values of the options, quoted for a shell.

    Defaults are omitted, unless a configuration file may override them. A flag that is off can't be written.
    """
    words = ["cnnexplain", "report"]
    for name, value in given.items():
        if name == "images" or value is None or (value == defaults[name] and (not configured or isinstance(value, bool))):
            continue
        flag = "--" + name.replace("_", "-")
        if isinstance(value, bool):
            words.append(flag if value else f"--no-{name}")
        else:
            values = value if isinstance(value, list | tuple) else [value]
            for each in map(str, values):
                # As one word, so that a value that begins with a hyphen is not taken for an option.
                words += [f"{flag}={each}"] if each.startswith("-") else [flag, each]
    images = given.get("images") or [datasets.SAMPLE]
    if any(image.startswith("-") for image in images):
        words.append("--")
    return shlex.join([*words, *images])


def _analyses(names: Sequence[str] | None) -> list[Analysis]:
    registry = session.registry()
    analyses = [registry.get(name)[0] for name in dict.fromkeys(names or registry.analyses)]
    if not analyses:
        raise CnnExplainError("No analysis is installed.")
    return analyses


def _report(analyses: Sequence[Analysis], arguments: RunArguments, typed: str, *, full: bool) -> None:
    from cnnexplain.inputs import images
    from cnnexplain.rendering import report_page
    from cnnexplain.results import lock, report_file

    path = arguments.out / REPORT
    report_file.check(path)
    if any("images" in analysis.inputs for analysis in analyses):
        count = len(images.find(arguments.images or [datasets.SAMPLE]))
        if count > MOST:
            raise UsageError(
                f"A report takes up to {MOST} images, but got {count}; give fewer, or use 'cnnexplain run', "
                "which takes any number."
            )
    outcomes = Outcomes.before(analyses, arguments.out, all_names=False)
    drawn: list[Drawn] = []

    def keep(record: Record, paths: Sequence[Path], names: Sequence[str | None]) -> None:
        drawn.append(_drawn(record, paths, names))

    evaluations: list[Evaluation | None] = []

    def write(pending: Sequence[str]) -> None:
        """Writes the report with the results so far."""
        assert outcomes.inputs is not None
        classifier = outcomes.inputs.classifier
        if not drawn:
            return
        if full and not evaluations:
            evaluations.append(_tested(classifier))
        html = report_page.render(
            drawn,
            classifier,
            command=typed,
            failed=outcomes.failed,
            tested=evaluations[0] if evaluations else None,
            pending=pending,
            quick=not full,
        )
        report_file.write(path, html)

    # Two reports at once would replace each other's file, even with different analyses.
    folders = [arguments.out, *(outcome.folder for outcome in outcomes.by_name.values())]
    try:
        with plainly(), lock.held_all(folders), console.quiet(arguments.verbose), console.progress() as display:
            execution.run_several(outcomes, arguments, display, keep, write, quick=not full)
    except KeyboardInterrupt as interruption:
        if not outcomes.done:
            kept = f" Kept in {arguments.out}: {outcomes.kept}." if outcomes.kept else ""
            raise InterruptionError(
                f"Interrupted: no analysis had finished, and no report was written.{kept}"
            ) from interruption
        done = f"{', '.join(outcomes.done)} of {len(analyses)} analyses"
        raise InterruptionError(f"Interrupted: {path} contains {done}.") from interruption
    if drawn:
        summary.print_path(path)
    summary.print_several(outcomes, arguments, notes=False)
    if not outcomes.passed:
        raise typer.Exit(1)


def _drawn(record: Record, paths: Sequence[Path], names: Sequence[str | None]) -> Drawn:
    """A record with its pictures, read from the files that were written."""
    from cnnexplain.rendering import drawn

    files = iter([path for path in paths if path.suffix == ".png"])
    pictures = [None if name is None else next(files).read_bytes() for name in names]
    return drawn.compacted(record, pictures, {path.stem: path.read_bytes() for path in files})


def _tested(classifier: Classifier) -> Evaluation | None:
    """The evaluation of a digit classifier on the MNIST test images; None for other models."""
    preset = classifier.preprocess.preset
    if preset is None or not preset.can_evaluate(classifier.preprocess.shape, len(classifier.labels)):
        return None
    from cnnexplain.training.evaluation import evaluate

    return evaluate(classifier)
