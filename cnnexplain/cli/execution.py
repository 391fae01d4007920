"""Runs one or several analyses and writes their results; prints only progress and the estimate of the time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from cnnexplain.cli import console, session, verifying
from cnnexplain.cli.inputs import Inputs, load_inputs
from cnnexplain.errors import CnnExplainError, reason
from cnnexplain.interruption import check_interrupted

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from cnnexplain.cli.outcome import Outcome, Outcomes
    from cnnexplain.cli.run_options import RunArguments
    from cnnexplain.plugin.analysis import Analysis
    from cnnexplain.results.picture_workers import PictureWorkers
    from cnnexplain.results.record import Record


Keep: TypeAlias = "Callable[[Record, Sequence[Path], Sequence[str | None]], None]"


def run_analysis(
    analysis: Analysis,
    options: Mapping[str, Any],
    arguments: RunArguments,
    inputs: Inputs,
    outcome: Outcome,
    display: Progress,
    *,
    keep: Keep = lambda *_: None,
    advance: Callable[[int, int], None] = lambda *_: None,
    workers: PictureWorkers | None = None,
    drawn: Callable[[int, int], None] = lambda *_: None,
) -> None:
    """Runs one analysis on the inputs that it takes, and writes its results part by part.

    If there are many pictures, other processes draw them meanwhile; the caller waits for them.

    Args:
        analysis: The analysis.
        options: Its options, with their checked values.
        arguments: The arguments of the command.
        inputs: The model, images, targets and data set.
        outcome: Counts what was explained and written.
        display: The progress display.
        keep: Called with each record, the paths of its files and the names of its images' pictures, None for no picture.
        advance: Called with the amount of work done, and the total.
        workers: The processes that draw many pictures; None if `keep` needs the pictures.
        drawn: Called with the number of pictures that the workers have drawn, and the number of all so far.
    """
    from cnnexplain.pipeline import parts, request
    from cnnexplain.pipeline.provenance import identity
    from cnnexplain.results import result_files
    from cnnexplain.results.record import Record
    from cnnexplain.results.writer import Writer

    running = console.bar(display, f"Running {analysis.name}")
    checking = console.bar(display, f"Verifying {analysis.name}")
    drawing = console.bar(display, f"Drawing {analysis.name}")

    def progress(done: int, total: int) -> None:
        running(done, total)
        if workers is not None and workers.total:
            drawn(workers.done, workers.total)
        advance(done, total)

    takes = set(analysis.inputs)
    # An analysis of the model itself uses images only if the user gave some, not the default sample.
    images = inputs.images if "images" in takes or ("objectives" in takes and arguments.images) else None
    target = inputs.target if takes & {"targets", "objectives"} else None
    against = inputs.against if "objectives" in takes else None
    dataset = inputs.dataset if "dataset" in takes else None
    request.check_inputs(analysis, images, target, against, dataset)
    prepared = request.assemble(
        analysis,
        session.registry().analyses.suppliers[analysis.name],
        options,
        inputs.classifier,
        images,
        target,
        against,
        dataset,
        progress,
        inputs.control if analysis.maps else None,
    )
    names = images.names if images is not None and "images" in takes else []
    writer = Writer(
        outcome.folder,
        names,
        arguments.pictures,
        identity(prepared) | _identity_of_arguments(arguments),
        resume=arguments.resume,
        workers=workers,
    )
    outcome.kept = len(names) if writer.complete else writer.start
    outcome.drawn = writer.missing
    verified = verifying.verifier(inputs.classifier, against, len(names), checking) if arguments.verify else None
    if verified is not None:
        for part in writer.unverified(analysis):
            outcome.verifying = True
            writer.verify(verified(Record(**part)))
            # Frees the memory of this part before the next one is read.
            part.clear()
        outcome.verifying = False
    records = iter(()) if writer.complete else parts.run_parts(prepared, writer.start)
    for record in records:
        try:
            paths = writer.add(record, drawing)
        except KeyboardInterrupt:
            # Ctrl-C may have been delayed until the files were written.
            if writer.written(record):
                outcome.images += len(record)
                outcome.verifying = arguments.verify
            raise
        outcome.add(record, paths)
        checked = record
        if verified is not None:
            outcome.verifying = True
            checked = verified(record)
            writer.verify(checked)
            outcome.verifying = False
        keep(checked, paths, writer.names_of(record))
        # Frees the memory of this part before the next one is computed.
        del record, checked
        if workers is not None:
            workers.check(outcome.folder)
    if arguments.verify:
        outcome.verification = result_files.read_verification(outcome.folder)


def _identity_of_arguments(arguments: RunArguments) -> dict[str, Any]:
    """Arguments that influence the results, but neither the names of the images nor the hash of the model."""
    return {
        "invert": arguments.invert,
        "format": arguments.pictures.format,
        "dpi": arguments.pictures.dpi,
        "outputs": arguments.model.kind,
        "reduce": arguments.model.reduce,
        "custom_objects": list(arguments.model.custom_objects),
        "verify": arguments.verify,
    }


def run_several(
    outcomes: Outcomes,
    arguments: RunArguments,
    display: Progress,
    keep: Keep = lambda *_: None,
    after: Callable[[Sequence[str]], None] = lambda _: None,
    *,
    quick: bool = False,
    workers: PictureWorkers | None = None,
) -> None:
    """Runs several analyses, the cheapest first; if one fails, the others still run.

    Args:
        outcomes: The analyses; their outcomes are stored here.
        arguments: The arguments of the command.
        display: The progress display.
        keep: Called with each record, the paths of its files and the names of its images' pictures, None for no picture.
        after: Called after each analysis with the names of the remaining ones.
        quick: Whether to use the options of `Analysis.quick` instead of the defaults.
        workers: The processes that draw the pictures of an analysis while the next ones are computed; None if `keep` needs
            the pictures.
    """
    from cnnexplain.pipeline import plan

    outcomes.inputs = inputs = load_inputs(outcomes.analyses, arguments, display)
    count = 0 if inputs.images is None else len(inputs.images)
    planned = plan.steps(outcomes.analyses, inputs.classifier, count, quick=quick, control=inputs.control is not None)
    outcomes.analyses = [step.analysis for step in planned]
    task = display.add_task("Timing a forward pass", total=None)
    a_pass = plan.measured(inputs.classifier)
    console.say(plan.estimate(planned, a_pass))
    checks = verifying.announce(planned, inputs.classifier, a_pass) if arguments.verify else [0.0] * len(planned)
    display.update(task, total=sum(step.seconds(a_pass) for step in planned) + sum(checks))
    drawn = console.bar(display, "Drawing pictures")
    before = 0.0
    for number, (step, verification) in enumerate(zip(planned, checks, strict=True), start=1):
        analysis, takes = step.analysis, step.seconds(a_pass)
        display.update(task, description=f"Analysis {number} of {len(planned)}, seconds", completed=before)
        advance = partial(_advance, display, task, before, takes)
        outcome = outcomes.by_name[analysis.name]
        try:
            run_analysis(
                analysis,
                step.options,
                arguments,
                inputs,
                outcome,
                display,
                keep=keep,
                advance=advance,
                workers=workers,
                drawn=drawn,
            )
            outcomes.done.append(analysis.name)
        # The others run even if this one fails.
        except Exception as error:  # noqa: BLE001
            check_interrupted(error)
            outcomes.failed[analysis.name] = _failure(error)
        before += takes + verification
        after([later.analysis.name for later in planned[number:]])
    display.remove_task(task)
    if workers is not None:
        _wait_for_pictures(outcomes, workers, drawn)


def _wait_for_pictures(outcomes: Outcomes, workers: PictureWorkers, drawn: Callable[[int, int], None]) -> None:
    """Waits for the pictures of several analyses; an analysis with a picture that can't be drawn has failed."""
    for name, outcome in outcomes.by_name.items():
        try:
            workers.wait(outcome.folder, drawn)
        except Exception as error:  # noqa: BLE001
            check_interrupted(error)
            # If the analysis itself failed, its own error counts.
            outcomes.failed.setdefault(name, _failure(error))
            outcomes.done = [other for other in outcomes.done if other != name]


def _failure(error: Exception) -> str:
    """Why an analysis failed, for the table."""
    return str(error) if isinstance(error, CnnExplainError) else reason(error)


def _advance(display: Progress, task: TaskID, before: float, takes: float, done: int, total: int) -> None:
    """Updates the progress of several analyses while one of them runs."""
    display.update(task, completed=before + takes * done / max(total, 1))
