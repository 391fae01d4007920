"""The command `run`: a subcommand for each analysis, made from its signature, and one for all of them."""

from __future__ import annotations

import re
import sys
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Column, Table
from rich.text import Text

from cnnexplain.cli import completion, console, session
from cnnexplain.errors import CnnExplainError, InterruptionError, reason
from cnnexplain.inputs import datasets
from cnnexplain.interruption import check_interrupted, plainly
from cnnexplain.plugin.analysis import ALL
from cnnexplain.plugin.options import Parameter, validate
from cnnexplain.rendering.pictures import FORMATS, Pictures

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from cnnexplain.inputs.image_stream import Stream
    from cnnexplain.inputs.preprocess import Preprocess
    from cnnexplain.model.classifier import Classifier
    from cnnexplain.plugin.analysis import Analysis
    from cnnexplain.results.explained import Explained
    from cnnexplain.results.record import Record

OUT = Path("cnnexplain-out")
SHOWN = 20
"""How many images the closing table and the notes name before they count the rest."""

ALL_HELP = "Run every installed analysis with its defaults, one after another, in one process."


def run_app(bare: Callable[[], None]) -> typer.Typer:
    """The subcommands; `bare` is called where none is named."""
    run = typer.Typer(invoke_without_command=True)

    @run.callback()
    def callback(context: typer.Context) -> None:
        if context.invoked_subcommand is None:
            bare()

    run.command(ALL, help=ALL_HELP)(_all_command())
    for analysis in session.registry().analyses.values():
        run.command(analysis.name, help=_help(analysis))(_command(analysis))
    for name in session.registry().analyses.clashes:
        anything = {"ignore_unknown_options": True, "allow_extra_args": True}
        problem = escape(str(session.registry().analyses.clashes[name]))
        run.command(name, hidden=True, help=problem, context_settings=anything)(_refusal(name))
    return run


def _refusal(name: str) -> Callable[..., None]:
    def refuse() -> None:
        session.registry().get(name)

    return refuse


def _help(analysis: Analysis) -> str:
    plugin = session.registry().analyses.suppliers[analysis.name]
    # A plugin's words may hold brackets, which Typer would take for markup.
    return escape(f"{analysis.summary}\n\nPaper: {analysis.paper}.\n\nFrom: {plugin.distribution} {plugin.version}.")


@dataclass(frozen=True)
class Request:
    """What was typed that is no analysis' own: the options by the names of the parameters."""

    model: session.ModelRequest
    pictures: Pictures
    out: Path
    verbose: bool
    images: list[str] | None = None
    invert: bool | None = None
    target: str | None = None
    against: str | None = None
    dataset: str | None = None
    resume: bool = False
    json: bool = False


def common_options(inputs: Sequence[str], out: str) -> dict[str, tuple[Any, Any]]:
    """The options that come with what an analysis asks for: each name's annotation and default."""
    files = "Files (PNG, JPEG, WebP, BMP, GIF, TIFF), folders, globs, or samples such as mnist:test/7."
    images: dict[str, tuple[Any, Any]] = {
        "images": (
            Annotated[
                list[str] | None,
                typer.Argument(
                    metavar="IMAGES",
                    help=f"{files} Without any: {datasets.SAMPLE}."
                    if "images" in inputs
                    else f"Images of which the prediction and the runner-up are explained. {files}",
                    autocompletion=completion.samples,
                ),
            ],
            None,
        ),
        "invert": (
            Annotated[
                bool | None,
                typer.Option(
                    "--invert/--no-invert",
                    help="Swap dark and light, or don't. Default: for a model of light digits on black, where a picture "
                    "shows dark on light.",
                ),
            ],
            None,
        ),
    }
    takes_images = bool({"images", "objectives"} & set(inputs))
    found = images if takes_images else {}
    if {"targets", "objectives"} & set(inputs):
        default = "the prediction" if "images" in inputs else "the images' predictions, or all, or the first of very many"
        found["target"] = _text(
            "--target",
            "TARGET",
            "What to explain: a class by label or index, or a value of a regression model, such as 'age' or 'age down'. "
            f"Default: {default}.",
            completion.labels,
        )
    if "objectives" in inputs:
        found["against"] = _text(
            "--against",
            "TARGET",
            "Another target, whose score is subtracted from that of --target: why the one and not the other?",
            completion.labels,
        )
    if "dataset" in inputs:
        default = "mnist:test for a model of digits" + (", else the images" if takes_images else ", else none")
        found["dataset"] = _text(
            "--dataset",
            "FOLDER",
            f"Images to look through: a folder with all that is in it, mnist:test or mnist:train. Default: {default}.",
            completion.data_sets,
        )
    if "images" in inputs:
        found["resume"] = (
            Annotated[
                bool,
                typer.Option("--resume", help="Go on where a run of the same request ended, keeping what it had finished."),
            ],
            False,
        )
    found["out"] = (Annotated[Path, typer.Option("--out", metavar="FOLDER", help=f"Results go to {out}.")], OUT)
    found |= session.PICTURE_OPTIONS
    found["json"] = (session.JsonOption, False)
    found["verbose"] = (session.VerboseOption, False)
    return found | session.MODEL_OPTIONS


def _text(flag: str, metavar: str, text: str, offers: Callable[..., list[str]]) -> tuple[Any, Any]:
    return Annotated[str | None, typer.Option(flag, metavar=metavar, help=text, autocompletion=offers)], None


def _command(analysis: Analysis) -> Callable[..., None]:
    """The command of one analysis: what comes with its inputs, then its own options, read from its signature."""
    options = common_options(analysis.inputs, f"FOLDER/{analysis.name}")

    def command(**given: Any) -> None:
        own = {name: given.pop(name) for name in [parameter.name for parameter in analysis.options]}
        session.warn_of_problems()
        validate(analysis.options, own)
        _explain(analysis, request_of(given), own)

    return session.declare(command, options | {parameter.name: _option(parameter) for parameter in analysis.options})


def _all_command() -> Callable[..., None]:
    inputs = sorted({name for analysis in session.registry().analyses.values() for name in analysis.inputs})

    def command(**given: Any) -> None:
        session.warn_of_problems()
        _explain_all(request_of(given))

    return session.declare(command, common_options(inputs, "FOLDER/ANALYSIS"))


def request_of(given: Mapping[str, Any]) -> Request:
    """The request in what Typer gives a command."""
    own = {name: value for name, value in given.items() if name not in session.MODEL_OPTIONS}
    pictures = Pictures(own.pop("format"), own.pop("dpi"))
    return Request(session.model_request(given), pictures, **own)


def _option(parameter: Parameter) -> tuple[Any, Any]:
    """A parameter as Typer takes it. Ranges and choices are checked in one place, `Parameter.check`."""
    option = parameter.option
    metavar = "|".join(parameter.choices) or None
    bounds = [f"at least {option.min:g}"] if option.min is not None else []
    bounds += [f"at most {option.max:g}"] if option.max is not None else []
    text = option.help + (f" ({', '.join(bounds)})" if bounds else "")
    kind: Any = parameter.type | None if parameter.optional else parameter.type
    if parameter.many:
        kind, text = list[kind], f"{text} (Repeatable.)"
    declarations = (parameter.flag,) if parameter.type is not bool else ()
    # The name by which plugins ask for a layer.
    offers = completion.layers if parameter.name == "layer" else completion.of(parameter.choices)
    declared = typer.Option(
        *declarations, help=escape(text), metavar=metavar, rich_help_panel="This analysis", autocompletion=offers
    )
    return Annotated[kind, declared], (list(parameter.default) if parameter.many else parameter.default)


@dataclass
class _Names:
    """The first `most` of many names, and their number."""

    most: int
    first: list[str] = field(default_factory=list)
    count: int = 0

    def add(self, names: Iterable[str]) -> None:
        for name in names:
            self.count += 1
            if len(self.first) < self.most:
                self.first.append(name)

    def __str__(self) -> str:
        return ", ".join(self.first[:SHOWN]) + (f" and {self.count - SHOWN} more" if self.count > SHOWN else "")


@dataclass
class _Outcome:
    """What the closing lines, or the JSON document, need to know of a run on any number of images."""

    folder: Path
    most: int
    """How many images are remembered by name."""
    kept: int = 0
    """How many images an earlier run had finished."""
    images: int = 0
    first: list[Explained] = field(default_factory=list)
    findings: list[str | None] = field(default_factory=list)
    """Of the images in `first`."""
    targeted: bool = False
    """Whether another class than the prediction was explained, for any image."""
    inverted: _Names = field(init=False)
    resized: _Names = field(init=False)
    skipped: _Names = field(init=False)
    pictures: _Names = field(init=False)
    parts: int = 0
    files: list[Path] = field(default_factory=list)
    """Those that are no pictures."""
    warnings: dict[str, None] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    seconds: float = 0.0

    def __post_init__(self) -> None:
        self.inverted, self.resized, self.skipped, self.pictures = (_Names(self.most) for _ in range(4))

    def add(self, record: Record, paths: Sequence[Path]) -> None:
        """Counts what was found and written for some of the images."""
        self.images += len(record)
        shown = record.explained[: self.most - len(self.first)]
        self.first += shown
        self.findings += map(record.finding, range(len(shown)))
        # Where the prediction is what was explained, it need not be said twice.
        self.targeted |= any(
            explained.objective is not None or explained.target not in (None, explained.prediction)
            for explained in record.explained
        )
        self.inverted.add(explained.source.name for explained in record.explained if explained.source.inverted)
        self.resized.add(explained.source.name for explained in record.explained if explained.source.resized)
        self.skipped.add(record.skipped)
        self.pictures.add(str(path) for path in paths if path.suffix[1:] in FORMATS)
        self.parts += 1
        others = (path for path in paths if path.suffix[1:] not in FORMATS and not path.name.startswith("thumbnails"))
        self.files = list(dict.fromkeys([*self.files, *others]))
        self.warnings |= dict.fromkeys(record.warnings)
        self.labels = record.labels
        self.seconds += record.seconds


def _outcome(analysis: Analysis, request: Request) -> _Outcome:
    return _Outcome(request.out / analysis.name, most=sys.maxsize if request.json else SHOWN)


def _document(analysis: Analysis, outcome: _Outcome, problem: str | None = None) -> dict[str, Any]:
    """What a script wants to know of one analysis' run."""

    def image(explained: Explained, finding: str | None) -> dict[str, Any]:
        target = explained.target
        return {
            "name": explained.source.name,
            "inverted": explained.source.inverted,
            "resized": explained.source.resized,
            "prediction": outcome.labels[explained.prediction],
            "probability": explained.probability,
            "target": None if target is None else outcome.labels[target],
            "target_probability": explained.target_probability,
            "objective": explained.objective,
            "value": explained.value,
            "unit": explained.unit,
            "finding": finding,
        }

    return {
        "analysis": analysis.name,
        "folder": str(outcome.folder),
        "kept": outcome.kept,
        "images": list(map(image, outcome.first, outcome.findings)),
        "skipped": outcome.skipped.first,
        "pictures": outcome.pictures.first,
        "files": list(map(str, outcome.files)),
        "warnings": list(outcome.warnings),
        "note": analysis.note,
        "seconds": outcome.seconds,
        "error": problem,
    }


def _explain(analysis: Analysis, request: Request, own: Mapping[str, object]) -> None:
    with console.document(request.json) as emit:
        outcome = _outcome(analysis, request)
        given = _explained(analysis, request, own, outcome)
        if request.json:
            session.print_assumption(given.classifier)
            _print_warnings([outcome])
            emit(_document(analysis, outcome))
        else:
            _print(analysis, request, given, outcome)


def _explained(analysis: Analysis, request: Request, own: Mapping[str, object], outcome: _Outcome) -> _Given:
    """Runs one analysis and writes what it finds."""
    from cnnexplain.results import lock
    from cnnexplain.results.result_folder import check_folder

    check_folder(outcome.folder)
    try:
        with plainly(), lock.held(outcome.folder), console.quiet(request.verbose), console.progress() as shown:
            given = _prepare([analysis], request, shown)
            _write(analysis, request, given, own, shown, outcome)
            return given
    except KeyboardInterrupt as interruption:
        if not outcome.images + outcome.kept:
            raise
        raise InterruptionError(
            f"Interrupted: {outcome.images + outcome.kept} images are done and kept in {outcome.folder}; "
            "the same command with --resume continues."
        ) from interruption


def _print(analysis: Analysis, request: Request, given: _Given, outcome: _Outcome) -> None:
    if outcome.kept:
        left = f"{outcome.images} more were explained" if outcome.parts else "nothing was left to do"
        console.say(f"{outcome.kept} images were done already and are kept in {outcome.folder}; {left}.")
    if not outcome.parts:
        return
    session.print_assumption(given.classifier)
    _print_notes(given.classifier, outcome, asked=request.invert is True)
    _print_images(outcome)
    _print_findings(outcome)
    _print_notes_of([analysis], [outcome])
    for path in outcome.pictures.first:
        console.say(f"Wrote {path}")
    if outcome.pictures.count > SHOWN:
        console.say(f"… and {outcome.pictures.count - SHOWN} more pictures in the same folder")
    if outcome.parts > 1:
        console.say(f"Wrote the numbers in {outcome.parts} parts beside them")
    for file in outcome.files:
        # Those of parts have numbers in their names.
        if outcome.parts == 1 or not re.search(r"-\d{5}\.", file.name):
            session.print_path(file)


@dataclass
class Several:
    """How several analyses ended that were run on one request."""

    analyses: Sequence[Analysis]
    outcomes: Mapping[str, _Outcome]
    given: _Given | None = None
    done: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, analyses: Sequence[Analysis], request: Request) -> Several:
        """Those that are to be run."""
        return cls(analyses, {analysis.name: _outcome(analysis, request) for analysis in analyses})

    @property
    def kept(self) -> str:
        """What an interruption has left."""
        begun = [
            f"{name} (not all images)"
            for name, outcome in self.outcomes.items()
            if name not in (*self.done, *self.failed) and outcome.images + outcome.kept
        ]
        return ", ".join([*self.done, *begun])

    def check(self) -> None:
        """Sees that none of them failed.

        Raises:
            CnnExplainError: Some did.
        """
        if self.failed:
            raise CnnExplainError(f"{len(self.failed)} of {len(self.analyses)} analyses failed: {', '.join(self.failed)}.")


def _explain_all(request: Request) -> None:
    """Runs every installed analysis; one that fails is reported and the others finish."""
    with console.document(request.json) as emit:
        _explain_each(request, emit)


def _explain_each(request: Request, emit: Callable[[Mapping[str, Any]], None]) -> None:
    analyses = list(session.registry().analyses.values())
    if not analyses:
        raise CnnExplainError("No analysis is installed.")
    several = Several.of(analyses, request)
    from cnnexplain.results import lock

    folders = [outcome.folder for outcome in several.outcomes.values()]
    try:
        with plainly(), lock.held_all(folders), console.quiet(request.verbose), console.progress() as shown:
            explain_several(several, request, shown)
    except KeyboardInterrupt as interruption:
        kept = f"kept in {request.out}: {several.kept}" if several.kept else "no analysis had ended"
        raise InterruptionError(f"Interrupted; {kept}. The same command with --resume continues.") from interruption
    assert several.given is not None
    if request.json:
        session.print_assumption(several.given.classifier)
        _print_warnings([several.outcomes[name] for name in several.done])
        emit(
            {"analyses": [_document(each, several.outcomes[each.name], several.failed.get(each.name)) for each in analyses]}
        )
        several.check()
    else:
        print_several(several, request)


def explain_several(
    several: Several,
    request: Request,
    shown: Progress,
    keep: Callable[[Record, Sequence[Path]], None] = lambda *_: None,
    after: Callable[[Sequence[str]], None] = lambda _: None,
    *,
    quick: bool = False,
) -> None:
    """Runs analyses one after another, the cheapest first, whatever one of them does.

    Args:
        several: Which; how they end is noted there.
        request: What was typed.
        shown: Where the progress is shown.
        keep: Called with each record and the paths of what was written of it.
        after: Called after each analysis with the names of those that are still to be run.
        quick: Whether to run them with the options of `Analysis.quick`, and not with their defaults.
    """
    from cnnexplain.pipeline import plan

    several.given = given = _prepare(several.analyses, request, shown)
    count = 0 if given.images is None else len(given.images)
    planned = plan.steps(several.analyses, given.classifier, count, quick=quick)
    several.analyses = [step.analysis for step in planned]
    task = shown.add_task("Measuring a pass", total=None)
    a_pass = plan.measured(given.classifier)
    console.say(plan.estimate(planned, a_pass))
    shown.update(task, total=sum(step.seconds(a_pass) for step in planned))
    before = 0.0
    for number, step in enumerate(planned, start=1):
        name, takes = step.analysis.name, step.seconds(a_pass)
        shown.update(task, description=f"Analysis {number} of {len(planned)}, seconds", completed=before)
        advance = partial(_advance, shown, task, before, takes)
        try:
            _write(step.analysis, request, given, step.options, shown, several.outcomes[name], keep, advance)
            several.done.append(name)
        # Whatever one of them does, the others run.
        except Exception as error:  # noqa: BLE001
            check_interrupted(error)
            several.failed[name] = str(error) if isinstance(error, CnnExplainError) else reason(error)
        before += takes
        after([later.analysis.name for later in planned[number:]])
    shown.remove_task(task)


def _advance(shown: Progress, task: TaskID, before: float, takes: float, done: int, total: int) -> None:
    """Shows how much of several analyses is done in the middle of one of them."""
    shown.update(task, completed=before + takes * done / max(total, 1))


def print_several(several: Several, request: Request, *, notes: bool = True) -> None:
    """Says how several analyses ended.

    Args:
        several: Which.
        request: What was typed.
        notes: Whether to print what their pictures don't show.

    Raises:
        CnnExplainError: Some of them failed.
    """
    assert several.given is not None
    analyses, outcomes, done, failed = several.analyses, several.outcomes, several.done, several.failed
    session.print_assumption(several.given.classifier)
    explained = [outcomes[name] for name in done if outcomes[name].images]
    if explained:
        # One that explains a class tells which.
        first = next((outcome for outcome in explained if outcome.targeted), explained[0])
        _print_notes(several.given.classifier, first, asked=request.invert is True)
        _print_images(first)
    _print_notes_of(
        [analysis for analysis in analyses if notes and analysis.name in done], [outcomes[name] for name in done]
    )
    table = Table(
        Column("Analysis", no_wrap=True), "Outcome", Column("Seconds", justify="right"), *(["Why"] if failed else [])
    )
    for analysis in analyses:
        if analysis.name in failed:
            table.add_row(analysis.name, Text("failed", style="red"), "", console.plain(failed[analysis.name]))
            continue
        outcome = outcomes[analysis.name]
        words = f"{outcome.pictures.count} picture{'s' if outcome.pictures.count != 1 else ''}"
        if outcome.kept and outcome.parts:
            words += f", {outcome.kept} images kept"
        table.add_row(
            analysis.name,
            words if outcome.parts else "done already",
            f"{outcome.seconds:.1f}",
        )
    console.out().print(table)
    for outcome in explained:
        # Of several images there is no room for what was found for each.
        if outcome.images == 1 and outcome.findings[0] is not None:
            console.say(f"{outcome.folder.name}: {outcome.findings[0]}")
    if done:
        console.say(f"Wrote the pictures and numbers to {request.out}/ANALYSIS")
    several.check()


@dataclass(frozen=True)
class _Given:
    """What a request comes to: the model, the images where an analysis takes any, and the classes and data set named."""

    classifier: Classifier
    images: Stream | None
    target: int | None
    against: int | None
    dataset: Stream | None


def _prepare(analyses: Sequence[Analysis], request: Request, shown: Progress) -> _Given:
    """Loads the model and finds the images, once all that was typed is known to exist."""
    from cnnexplain.inputs import image_stream, images

    names = request.images or [datasets.SAMPLE]
    explains = any("images" in analysis.inputs for analysis in analyses)
    if explains and not request.images:
        console.say(f"No image given: explaining the sample digit {datasets.SAMPLE}.")
    if explains or request.images:
        images.find(names)
    if request.dataset is not None:
        image_stream.check(request.dataset)
    classifier = session.load(request.model, shown)
    # A class that does not exist is known before any image is read.
    target, against = (None if name is None else classifier.target(name) for name in (request.target, request.against))
    found = image_stream.stream_images(names, classifier, invert=request.invert) if explains or request.images else None
    if found is not None:
        found.check(console.bar(shown, "Reading"))
    dataset = None
    if request.dataset is not None:
        dataset = image_stream.open_stream(request.dataset, classifier, invert=request.invert)
    return _Given(classifier, found, target, against, dataset)


def _write(
    analysis: Analysis,
    request: Request,
    given: _Given,
    own: Mapping[str, Any],
    shown: Progress,
    outcome: _Outcome,
    keep: Callable[[Record, Sequence[Path]], None] = lambda *_: None,
    advance: Callable[[int, int], None] = lambda *_: None,
) -> None:
    """Runs one analysis on what it takes of a request, and writes what it finds as it comes."""
    from cnnexplain.pipeline import explanation
    from cnnexplain.results import writer as report

    inputs = set(analysis.inputs)
    # The sample that stands for images not given decides nothing for an analysis of the model alone.
    takes = "images" in inputs or ("objectives" in inputs and request.images)
    images = given.images if takes else None
    asked: dict[str, Any] = {
        "target": given.target if inputs & {"targets", "objectives"} else None,
        "against": given.against if "objectives" in inputs else None,
        "dataset": given.dataset if "dataset" in inputs else None,
        **own,
    }
    names = images.names if images is not None and "images" in inputs else []
    wanted = explanation.request(analysis.name, given.classifier, images, **asked)
    # What of the request shows neither in the images' names nor in the hash of the model.
    wanted |= {
        "invert": request.invert,
        "format": request.pictures.format,
        "dpi": request.pictures.dpi,
        "outputs": request.model.kind,
        "reduce": request.model.reduce,
        "custom_objects": list(request.model.custom_objects),
    }
    writer = report.Writer(outcome.folder, names, request.pictures, wanted, resume=request.resume)
    outcome.kept = len(names) if writer.complete else writer.start
    if writer.complete:
        return
    drawing = console.bar(shown, f"Drawing {analysis.name}")
    running = console.bar(shown, f"Running {analysis.name}")

    def progress(done: int, total: int) -> None:
        running(done, total)
        advance(done, total)

    parts = explanation.explain_parts(
        analysis.name,
        given.classifier,
        images,
        start=writer.start,
        progress=progress,
        **asked,
    )

    def write(record: Record) -> None:
        try:
            paths = writer.add(record, drawing)
        except KeyboardInterrupt:
            # It may have waited until all of them were written.
            outcome.images += len(record) if writer.written(record) else 0
            raise
        outcome.add(record, paths)
        keep(record, paths)

    # A loop's variable would hold a part while the next is computed.
    deque(map(write, parts), maxlen=0)


def _print_notes(classifier: Classifier, outcome: _Outcome, *, asked: bool) -> None:
    preprocess = classifier.preprocess
    inverted = "Inverted, as asked" if asked else "Inverted, since dark on light"
    for what, names in ((inverted, outcome.inverted), (_fitting(preprocess), outcome.resized)):
        if names.count:
            console.say(f"{what}: {names}.")


def _fitting(preprocess: Preprocess) -> str:
    """What was done to pictures that are not taken as they are."""
    size = f"the model's {preprocess.height} rows × {preprocess.width} columns"
    share = "" if preprocess.crop == 1 else f" {100 * preprocess.crop:.3g}%"
    return {
        "stretch": f"Resized to {size}",
        "crop": f"Cut to the middle{share} and resized to {size}",
        "pad": f"Resized to fit {size}, on black",
        "digit": f"Centred on {size}, as MNIST's digits are",
    }[preprocess.fit]


def _print_images(outcome: _Outcome) -> None:
    from cnnexplain.draw.wording import model_output

    if not outcome.first:
        return
    values = outcome.first[0].value is not None
    columns = ["Output", "Value"] if values else ["Prediction", "Probability"]
    columns += (["Target"] if values else ["Target", "Its probability"]) if outcome.targeted else []
    table = Table(Column("Image", no_wrap=True), *columns)
    for explained in outcome.first[:SHOWN]:
        answer = model_output(explained.probability, explained.value, explained.unit)
        cells = [explained.source.name, outcome.labels[explained.prediction], answer]
        if outcome.targeted and explained.target is not None:
            plain = [outcome.labels[explained.target], model_output(explained.target_probability)]
            cells += (plain if explained.objective is None else [explained.objective, ""])[: len(columns) - 2]
        table.add_row(*map(console.plain, cells))
    if outcome.images > SHOWN:
        table.add_row(f"… and {outcome.images - SHOWN} more")
    console.show(table)


def _print_findings(outcome: _Outcome) -> None:
    """Says what was found for the images that the table shows."""
    for explained, finding in list(zip(outcome.first, outcome.findings, strict=True))[:SHOWN]:
        if finding is not None:
            console.say(finding if outcome.images == 1 else f"{explained.source.name}: {finding}")


def _print_notes_of(analyses: Sequence[Analysis], outcomes: Sequence[_Outcome]) -> None:
    _print_warnings(outcomes)
    for analysis in analyses:
        if analysis.note:
            console.say(f"Note ({analysis.name}): {analysis.note}")


def _print_warnings(outcomes: Sequence[_Outcome]) -> None:
    # Analyses that look through the same data set warn of the same files.
    warned: dict[str, list[str]] = {}
    for outcome in outcomes:
        for warning in outcome.warnings:
            warned.setdefault(warning, []).append(outcome.folder.name)
    several = len(outcomes) > 1
    warnings = [f"{', '.join(names)}: {warning}" if several else warning for warning, names in warned.items()]
    skipped = next((outcome.skipped for outcome in outcomes if outcome.skipped.count), None)
    if skipped is not None:
        words = "1 image can't be read and was" if skipped.count == 1 else f"{skipped.count} images can't be read and were"
        warnings.append(f"{words} skipped: {skipped}.")
    for warning in warnings:
        console.complain(f"Warning: {warning}", style="yellow")
