"""The command `run`: a subcommand for each analysis, made from its signature, and one for all of them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Column, Table
from rich.text import Text

from cnnexplain import datasets, models, startup, terminal
from cnnexplain.errors import CnnExplainError
from cnnexplain.options import Parameter, validate
from cnnexplain.plugin import ALL

if TYPE_CHECKING:
    from rich.progress import Progress

    from cnnexplain.classifier import Classifier
    from cnnexplain.images import ImageBatch
    from cnnexplain.plugin import Analysis
    from cnnexplain.record import Record
    from cnnexplain.stream import Stream

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
    for analysis in startup.registry().analyses.values():
        run.command(analysis.name, help=_help(analysis))(_command(analysis))
    for name in startup.registry().clashes:
        anything = {"ignore_unknown_options": True, "allow_extra_args": True}
        problem = escape(str(startup.registry().clashes[name]))
        run.command(name, hidden=True, help=problem, context_settings=anything)(_refusal(name))
    return run


def _refusal(name: str) -> Callable[..., None]:
    def refuse() -> None:
        startup.registry().get(name)

    return refuse


def _help(analysis: Analysis) -> str:
    plugin = startup.registry().suppliers[analysis.name]
    # A plugin's words may hold brackets, which Typer would take for markup.
    return escape(f"{analysis.summary}\n\nPaper: {analysis.paper}.\n\nFrom: {plugin.distribution} {plugin.version}.")


@dataclass(frozen=True)
class _Request:
    """What was typed that is no analysis' own: the options by the names of the parameters."""

    model: str
    out: Path
    verbose: bool
    backend: str | None = None
    images: list[str] | None = None
    invert: bool | None = None
    target: str | None = None
    against: str | None = None
    dataset: str | None = None


def _common(inputs: Sequence[str], out: str) -> dict[str, tuple[Any, Any]]:
    """The options that come with what an analysis asks for: each name's annotation and default."""
    images: dict[str, tuple[Any, Any]] = {
        "images": (
            Annotated[
                list[str] | None,
                typer.Argument(
                    metavar="IMAGES",
                    help="Files (PNG, JPEG, WebP, BMP, GIF, TIFF), folders, globs, or samples such as "
                    f"mnist:test/7. Without any: {datasets.SAMPLE}.",
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
    found: dict[str, tuple[Any, Any]] = {"model": (startup.ModelOption, models.INCLUDED)}
    if "images" in inputs:
        found |= images
    if {"targets", "objectives"} & set(inputs):
        default = "the prediction" if "images" in inputs else "all of them, or the first ones of very many"
        found["target"] = _text("--target", "CLASS", f"The class to explain, by label or index. Default: {default}.")
    if "objectives" in inputs:
        found["against"] = _text(
            "--against", "CLASS", "A class whose score is subtracted from the target's: why the one and not the other?"
        )
    if "dataset" in inputs:
        default = "mnist:test for a model of digits" + (", else the images" if "images" in inputs else ", else none")
        found["dataset"] = _text(
            "--dataset",
            "FOLDER",
            f"Images to look through: a folder with all that is in it, mnist:test or mnist:train. Default: {default}.",
        )
    found["out"] = (Annotated[Path, typer.Option("--out", metavar="FOLDER", help=f"Results go to {out}.")], OUT)
    found["backend"] = (startup.BackendOption, None)
    found["verbose"] = (startup.VerboseOption, False)
    return found


def _text(flag: str, metavar: str, text: str) -> tuple[Any, Any]:
    return Annotated[str | None, typer.Option(flag, metavar=metavar, help=text)], None


def _command(analysis: Analysis) -> Callable[..., None]:
    """The command of one analysis: what comes with its inputs, then its own options, read from its signature."""
    common = _common(analysis.inputs, f"FOLDER/{analysis.name}")

    def command(**given: Any) -> None:
        own = {name: given.pop(name) for name in [parameter.name for parameter in analysis.options]}
        _explain(analysis, _Request(**given), own)

    return _declare(command, common | {parameter.name: _option(parameter) for parameter in analysis.options})


def _all_command() -> Callable[..., None]:
    inputs = sorted({name for analysis in startup.registry().analyses.values() for name in analysis.inputs})

    def command(**given: Any) -> None:
        _explain_all(_Request(**given))

    return _declare(command, _common(inputs, "FOLDER/ANALYSIS"))


def _declare(command: Callable[..., None], declared: Mapping[str, tuple[Any, Any]]) -> Callable[..., None]:
    """The function as Typer would see it if these parameters had been written down."""
    command.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
            for name, (annotation, default) in declared.items()
        ]
    )
    command.__annotations__ = {name: annotation for name, (annotation, _) in declared.items()}
    return command


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
    return Annotated[kind, typer.Option(*declarations, help=escape(text), metavar=metavar)], (
        list(parameter.default) if parameter.many else parameter.default
    )


def _explain(analysis: Analysis, request: _Request, own: Mapping[str, object]) -> None:
    from cnnexplain import report

    startup.warn_of_problems()
    # All that can be wrong with what was typed is looked for before Keras is started.
    startup.choose_backend(request.backend)
    validate(analysis.options, own)
    report.check_folder(request.out / analysis.name)
    with terminal.quiet(request.verbose), terminal.progress() as shown:
        given = _prepare([analysis], request, shown)
        record, paths = _explained(analysis, request, given, own, shown)
    startup.print_assumption(given.classifier)
    _print_notes(given.classifier, given.batch, asked=request.invert is True)
    if len(record):
        _print_record(record)
    _print_mind(record)
    pictures = paths[:-2]
    for path in _first(pictures):
        startup.print_path(path)
    if len(pictures) > SHOWN:
        terminal.say(f"… and {len(pictures) - SHOWN} more pictures in the same folder")
    for path in paths[-2:]:
        startup.print_path(path)


def _explain_all(request: _Request) -> None:
    """Runs every installed analysis; one that fails is reported and the others finish."""
    startup.warn_of_problems()
    startup.choose_backend(request.backend)
    analyses = list(startup.registry().analyses.values())
    if not analyses:
        raise CnnExplainError("No analysis is installed.")
    done: dict[str, tuple[Record, list[Path]]] = {}
    failed: dict[str, object] = {}
    with terminal.quiet(request.verbose), terminal.progress() as shown:
        given = _prepare(analyses, request, shown)
        task = shown.add_task("Analyses", total=len(analyses))
        try:
            for analysis in analyses:
                try:
                    done[analysis.name] = _explained(analysis, request, given, {}, shown)
                # Whatever one of them does, the others run.
                except Exception as error:  # noqa: BLE001
                    failed[analysis.name] = (
                        error if isinstance(error, CnnExplainError) else f"{type(error).__name__}: {error}"
                    )
                shown.advance(task)
        except KeyboardInterrupt:
            kept = f"kept in {request.out}: {', '.join(done)}" if done else "no analysis had ended"
            terminal.complain(f"Interrupted; {kept}.")
            raise
    startup.print_assumption(given.classifier)
    _print_notes(given.classifier, given.batch, asked=request.invert is True)
    if done and (first := next((record for record, _ in done.values() if len(record)), None)):
        _print_record(first)
    _print_mind(*(record for record, _ in done.values()))
    table = Table("Analysis", "Outcome", Column("Seconds", justify="right"), Column("Written to", overflow="fold"))
    for analysis in analyses:
        if analysis.name in failed:
            table.add_row(analysis.name, Text("failed", style="red"), "", terminal.plain(str(failed[analysis.name])))
            continue
        record, paths = done[analysis.name]
        pictures = len(paths) - 2
        outcome = f"{pictures} picture{'s' if pictures != 1 else ''}"
        table.add_row(analysis.name, outcome, f"{record.seconds:.1f}", terminal.plain(str(request.out / analysis.name)))
    terminal.out().print(table)
    if failed:
        raise CnnExplainError(f"{len(failed)} of {len(analyses)} analyses failed: {', '.join(failed)}.")


@dataclass(frozen=True)
class _Given:
    """What a request comes to: the model, the images where an analysis takes any, and the classes and data set named."""

    classifier: Classifier
    batch: ImageBatch | None
    target: int | None
    against: int | None
    dataset: Stream | None


def _prepare(analyses: Sequence[Analysis], request: _Request, shown: Progress) -> _Given:
    """Loads the model and reads the images, once all that was typed is known to exist."""
    from cnnexplain import images, stream

    found: list[str] = []
    if any("images" in analysis.inputs for analysis in analyses):
        if not request.images:
            terminal.say(f"No image given: explaining the sample digit {datasets.SAMPLE}.")
        found = images.find(request.images or [datasets.SAMPLE])
    if request.dataset is not None:
        stream.check(request.dataset)
    models.find(request.model)
    classifier = startup.load(request.model, shown)
    # A class that does not exist is known before any image is read.
    target, against = (None if name is None else classifier.target(name) for name in (request.target, request.against))
    reading = terminal.bar(shown, "Reading")
    batch = images.read_images(found, classifier, invert=request.invert, progress=reading) if found else None
    dataset = None
    if request.dataset is not None:
        dataset = stream.open_stream(request.dataset, classifier, invert=request.invert)
    return _Given(classifier, batch, target, against, dataset)


def _explained(
    analysis: Analysis, request: _Request, given: _Given, own: Mapping[str, Any], shown: Progress
) -> tuple[Record, list[Path]]:
    """Runs one analysis on what it takes of a request, and writes what it found."""
    from cnnexplain import report
    from cnnexplain.pipeline import explain

    folder = request.out / analysis.name
    report.check_folder(folder)
    inputs = set(analysis.inputs)
    record = explain(
        analysis.name,
        given.classifier,
        given.batch if "images" in inputs else None,
        target=given.target if inputs & {"targets", "objectives"} else None,
        against=given.against if "objectives" in inputs else None,
        dataset=given.dataset if "dataset" in inputs else None,
        progress=terminal.bar(shown, f"Running {analysis.name}"),
        **own,
    )
    return record, report.write(record, folder, terminal.bar(shown, f"Drawing {analysis.name}"))


def _print_notes(classifier: Classifier, batch: ImageBatch | None, *, asked: bool) -> None:
    if batch is None:
        return
    preprocess = classifier.preprocess
    inverted = "Inverted, as asked" if asked else "Inverted, since dark on light"
    size = f"the model's {preprocess.height} rows × {preprocess.width} columns"
    resized = f"Centred on {size}, as MNIST's digits are" if preprocess.digits else f"Resized to {size}"
    for what, names in (
        (inverted, [source.name for source in batch.sources if source.inverted]),
        (resized, [source.name for source in batch.sources if source.resized]),
    ):
        if names:
            more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
            terminal.say(f"{what}: {', '.join(_first(names))}{more}.")


def _print_record(record: Record) -> None:
    from cnnexplain.draw import percent

    # Where the prediction is what was explained, it need not be said twice.
    targeted = any(
        explained.objective is not None or explained.target not in (None, explained.prediction)
        for explained in record.explained
    )
    columns = ["Prediction", "Probability", *(["Target", "Its probability"] if targeted else [])]
    table = Table(Column("Image", overflow="fold"), *columns)
    for explained in _first(record.explained):
        cells = [explained.source.name, record.labels[explained.prediction], percent(explained.probability)]
        if targeted and explained.target is not None and explained.target_probability is not None:
            plain = [record.labels[explained.target], percent(explained.target_probability)]
            cells += plain if explained.objective is None else [explained.objective, ""]
        table.add_row(*map(terminal.plain, cells))
    if len(record.explained) > SHOWN:
        table.add_row(f"… and {len(record.explained) - SHOWN} more")
    terminal.out().print(table)


def _print_mind(*records: Record) -> None:
    # Analyses that look through the same data set warn of the same files.
    for warning in dict.fromkeys(warning for record in records for warning in record.warnings):
        terminal.complain(f"Warning: {warning}", style="yellow")
    for record in records:
        if record.analysis.note:
            terminal.say(f"Mind ({record.analysis.name}): {record.analysis.note}")


def _first(items: Sequence[Any]) -> Sequence[Any]:
    return items[:SHOWN]
