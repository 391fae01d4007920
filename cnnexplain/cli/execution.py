"""Runs one or several analyses on what was typed, and writes what they find; nothing is printed here but progress."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnexplain.cli import console, session
from cnnexplain.cli.inputs import Inputs, load_inputs
from cnnexplain.errors import CnnExplainError, reason
from cnnexplain.interruption import check_interrupted

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from cnnexplain.cli.outcome import Outcome, Outcomes
    from cnnexplain.cli.run_options import RunArguments
    from cnnexplain.plugin.analysis import Analysis
    from cnnexplain.results.record import Record


def run_analysis(
    analysis: Analysis,
    options: Mapping[str, Any],
    arguments: RunArguments,
    inputs: Inputs,
    outcome: Outcome,
    display: Progress,
    *,
    keep: Callable[[Record, Sequence[Path]], None] = lambda *_: None,
    advance: Callable[[int, int], None] = lambda *_: None,
) -> None:
    """Runs one analysis on those of the inputs that it takes, and writes what it finds as it comes.

    Args:
        analysis: The analysis.
        options: Its options, with their checked values.
        arguments: What was typed.
        inputs: What that names.
        outcome: Where it is counted what was explained and written.
        display: Where the progress is shown.
        keep: Called with each record and the paths of what was written of it.
        advance: Called with how much is done, and of how much.
    """
    from cnnexplain.pipeline import parts, request
    from cnnexplain.pipeline.provenance import identity
    from cnnexplain.results.writer import Writer

    running = console.bar(display, f"Running {analysis.name}")
    drawing = console.bar(display, f"Drawing {analysis.name}")

    def progress(done: int, total: int) -> None:
        running(done, total)
        advance(done, total)

    takes = set(analysis.inputs)
    # The sample that stands for images not given decides nothing for an analysis of the model alone.
    images = inputs.images if "images" in takes or ("objectives" in takes and arguments.images) else None
    target = inputs.target if takes & {"targets", "objectives"} else None
    against = inputs.against if "objectives" in takes else None
    dataset = inputs.dataset if "dataset" in takes else None
    request.check_inputs(analysis, images, target, against, dataset)
    asked = request.assemble(
        analysis,
        session.registry().analyses.suppliers[analysis.name],
        options,
        inputs.classifier,
        images,
        target,
        against,
        dataset,
        progress,
    )
    names = images.names if images is not None and "images" in takes else []
    writer = Writer(
        outcome.folder,
        names,
        arguments.pictures,
        identity(asked) | _identity_of_arguments(arguments),
        resume=arguments.resume,
    )
    outcome.kept = len(names) if writer.complete else writer.start
    if writer.complete:
        return
    for record in parts.run_parts(asked, writer.start):
        try:
            paths = writer.add(record, drawing)
        except KeyboardInterrupt:
            # It may have waited until all of them were written.
            outcome.images += len(record) if writer.written(record) else 0
            raise
        outcome.add(record, paths)
        keep(record, paths)
        # The variable would hold a part while the next is computed.
        del record


def _identity_of_arguments(arguments: RunArguments) -> dict[str, Any]:
    """What decides the results and shows neither in the images' names nor in the hash of the model."""
    return {
        "invert": arguments.invert,
        "format": arguments.pictures.format,
        "dpi": arguments.pictures.dpi,
        "outputs": arguments.model.kind,
        "reduce": arguments.model.reduce,
        "custom_objects": list(arguments.model.custom_objects),
    }


def run_several(
    outcomes: Outcomes,
    arguments: RunArguments,
    display: Progress,
    keep: Callable[[Record, Sequence[Path]], None] = lambda *_: None,
    after: Callable[[Sequence[str]], None] = lambda _: None,
    *,
    quick: bool = False,
) -> None:
    """Runs analyses one after another, the cheapest first; one that fails does not stop the others.

    Args:
        outcomes: The analyses; how they end is noted there.
        arguments: What was typed.
        display: Where the progress is shown.
        keep: Called with each record and the paths of what was written of it.
        after: Called after each analysis with the names of those that are still to be run.
        quick: Whether to run them with the options of `Analysis.quick` instead of their defaults.
    """
    from cnnexplain.pipeline import plan

    outcomes.inputs = inputs = load_inputs(outcomes.analyses, arguments, display)
    count = 0 if inputs.images is None else len(inputs.images)
    planned = plan.steps(outcomes.analyses, inputs.classifier, count, quick=quick)
    outcomes.analyses = [step.analysis for step in planned]
    task = display.add_task("Measuring a pass", total=None)
    a_pass = plan.measured(inputs.classifier)
    console.say(plan.estimate(planned, a_pass))
    display.update(task, total=sum(step.seconds(a_pass) for step in planned))
    before = 0.0
    for number, step in enumerate(planned, start=1):
        analysis, takes = step.analysis, step.seconds(a_pass)
        display.update(task, description=f"Analysis {number} of {len(planned)}, seconds", completed=before)
        advance = partial(_advance, display, task, before, takes)
        outcome = outcomes.by_name[analysis.name]
        try:
            run_analysis(analysis, step.options, arguments, inputs, outcome, display, keep=keep, advance=advance)
            outcomes.done.append(analysis.name)
        # Whatever one of them does, the others run.
        except Exception as error:  # noqa: BLE001
            check_interrupted(error)
            outcomes.failed[analysis.name] = str(error) if isinstance(error, CnnExplainError) else reason(error)
        before += takes
        after([later.analysis.name for later in planned[number:]])
    display.remove_task(task)


def _advance(display: Progress, task: TaskID, before: float, takes: float, done: int, total: int) -> None:
    """Shows how much of several analyses is done in the middle of one of them."""
    display.update(task, completed=before + takes * done / max(total, 1))
