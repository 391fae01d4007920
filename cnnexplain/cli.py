"""The command line: the only module that prints, and that ends the program."""

from __future__ import annotations

import gc
import inspect
import os
import platform
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Column, Table
from rich.text import Text

from cnnexplain import __version__, datasets, files, models, terminal
from cnnexplain.errors import CnnExplainError, UsageError
from cnnexplain.options import Parameter, validate
from cnnexplain.plugin import ALL

if TYPE_CHECKING:
    from rich.progress import Progress

    from cnnexplain.classifier import Classifier
    from cnnexplain.images import ImageBatch
    from cnnexplain.lenet import Progress as TrainingProgress
    from cnnexplain.plugin import Analysis
    from cnnexplain.record import Record
    from cnnexplain.registry import Registry
    from cnnexplain.stream import Stream

OUT = Path("cnnexplain-out")
SHOWN = 20
"""How many images the closing table and the notes name before they count the rest."""

ALL_HELP = "Run every installed analysis with its defaults, one after another, in one process."
RUN = "Explain images with one of the analyses."

INTERRUPTED = 130
"""The exit code after Ctrl-C, as shells use it."""

ModelOption = Annotated[
    str,
    typer.Option("--model", metavar="FILE", help="A Keras model (.keras), or 'lenet' for the one that is included."),
]
VerboseOption = Annotated[bool, typer.Option("--verbose", help="Show what TensorFlow logs.")]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit code: 0, 1 for a failure, 2 for wrong usage, 130 after Ctrl-C."""
    if arguments is None:
        # A polite request to end is answered like Ctrl-C, so that nothing unfinished is left behind.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = _app(analyses="run" in words)(args=words, prog_name="cnnexplain", standalone_mode=False)
    except CnnExplainError as error:
        return _fail(str(error), error.exit_code)
    except typer.TyperException as error:
        # With no arguments at all the help has been printed, and there is nothing to add.
        if not error.format_message():
            return error.exit_code
        _warn_of_problems()
        return _fail(error.format_message(), error.exit_code)
    except KeyboardInterrupt:
        code = INTERRUPTED
    if code == INTERRUPTED:
        terminal.complain("Interrupted: nothing more was written.")
    return int(code or 0)


def _app(*, analyses: bool) -> typer.Typer:
    app = typer.Typer(
        help="See what a convolutional network sees: explain the predictions of Keras image classifiers.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_root)
    app.add_typer(_run_app() if analyses else typer.Typer(callback=_no_analyses), name="run", help=RUN)
    app.command("list")(_list)
    app.command("train")(_train)
    app.command("evaluate")(_evaluate)
    app.command("info")(_info)
    return app


def _version(wanted: bool) -> None:
    if wanted:
        terminal.say(f"cnnexplain {__version__}")
        raise typer.Exit


def _registry() -> Registry:
    # Reading what is installed takes a fifth of a start, which most commands have no need of.
    from cnnexplain import registry

    return registry.load()


def _root(
    version: Annotated[  # Typer calls _version before it looks for a command.
        bool, typer.Option("--version", help="Show the version and exit.", is_eager=True, callback=_version)
    ] = False,
) -> None:
    pass


def _no_analyses() -> None:
    """Stands for the analyses where none of them is called."""


def _run_app() -> typer.Typer:
    run = typer.Typer(invoke_without_command=True)

    @run.callback()
    def callback(context: typer.Context) -> None:
        if context.invoked_subcommand is None:
            _list()

    run.command(ALL, help=ALL_HELP)(_all_command())
    for analysis in _registry().analyses.values():
        run.command(analysis.name, help=_help(analysis))(_command(analysis))
    for name in _registry().clashes:
        anything = {"ignore_unknown_options": True, "allow_extra_args": True}
        problem = escape(str(_registry().clashes[name]))
        run.command(name, hidden=True, help=problem, context_settings=anything)(_refusal(name))
    return run


def _refusal(name: str) -> Callable[..., None]:
    def refuse() -> None:
        _registry().get(name)

    return refuse


def _help(analysis: Analysis) -> str:
    plugin = _registry().suppliers[analysis.name]
    # A plugin's words may hold brackets, which Typer would take for markup.
    return escape(f"{analysis.summary}\n\nPaper: {analysis.paper}.\n\nFrom: {plugin.distribution} {plugin.version}.")


@dataclass(frozen=True)
class _Request:
    """What was typed that is no analysis' own: the options by the names of the parameters."""

    model: str
    out: Path
    verbose: bool
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
    found: dict[str, tuple[Any, Any]] = {"model": (ModelOption, models.INCLUDED)}
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
    found["verbose"] = (VerboseOption, False)
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
    inputs = sorted({name for analysis in _registry().analyses.values() for name in analysis.inputs})

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

    _warn_of_problems()
    # All that can be wrong with what was typed is looked for before TensorFlow is started.
    validate(analysis.options, own)
    report.check_folder(request.out / analysis.name)
    with terminal.quiet(request.verbose), terminal.progress() as shown:
        given = _prepare([analysis], request, shown)
        record, paths = _explained(analysis, request, given, own, shown)
    _print_assumption(given.classifier)
    _print_notes(given.classifier, given.batch, asked=request.invert is True)
    if len(record):
        _print_record(record)
    _print_mind(record)
    pictures = paths[:-2]
    for path in _first(pictures):
        _print_path(path)
    if len(pictures) > SHOWN:
        terminal.say(f"… and {len(pictures) - SHOWN} more pictures in the same folder")
    for path in paths[-2:]:
        _print_path(path)


def _explain_all(request: _Request) -> None:
    """Runs every installed analysis; one that fails is reported and the others finish."""
    _warn_of_problems()
    analyses = list(_registry().analyses.values())
    if not analyses:
        raise CnnExplainError("No analysis is installed.")
    done: dict[str, tuple[Record, list[Path]]] = {}
    failed: dict[str, CnnExplainError] = {}
    with terminal.quiet(request.verbose), terminal.progress() as shown:
        given = _prepare(analyses, request, shown)
        task = shown.add_task("Analyses", total=len(analyses))
        try:
            for analysis in analyses:
                try:
                    done[analysis.name] = _explained(analysis, request, given, {}, shown)
                except CnnExplainError as error:
                    failed[analysis.name] = error
                shown.advance(task)
        except KeyboardInterrupt:
            kept = f"kept in {request.out}: {', '.join(done)}" if done else "no analysis had ended"
            terminal.complain(f"Interrupted; {kept}.")
            raise
    _print_assumption(given.classifier)
    _print_notes(given.classifier, given.batch, asked=request.invert is True)
    if done and (first := next((record for record, _ in done.values() if len(record)), None)):
        _print_record(first)
    for record, _ in done.values():
        _print_mind(record)
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
    classifier = _load(request.model, shown)
    # A class that does not exist is known before any image is read.
    target, against = (None if name is None else classifier.target(name) for name in (request.target, request.against))
    reading = terminal.bar(shown, "Reading")
    batch = images.read_images(found, classifier, invert=request.invert, progress=reading) if found else None
    dataset = None if request.dataset is None else stream.open_stream(request.dataset, classifier)
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


def _load(model: str, shown: Progress) -> Classifier:
    task = shown.add_task("Starting Keras", total=None)
    _start_keras()
    from cnnexplain.classifier import load

    shown.update(task, description="Loading the model")
    classifier = load(model)
    shown.remove_task(task)
    return classifier


def _start_keras() -> None:
    # The import makes hundreds of thousands of objects that stay. Looking for garbage among them, then and at every later
    # collection, costs a tenth of a cold run.
    gc.disable()
    try:
        import keras  # noqa: F401
    except (ImportError, ValueError) as error:
        backend = os.environ.get("KERAS_BACKEND", "tensorflow")
        raise CnnExplainError(
            f"Keras can't start on the backend '{backend}': {error}. Set KERAS_BACKEND=tensorflow."
        ) from error
    finally:
        gc.freeze()
        gc.enable()


def _list() -> None:
    """List the analyses, each with its paper and the distribution that it comes from."""
    table = Table(Column("Analysis", no_wrap=True), "Shows", Column("Paper", overflow="fold"), "From")
    found = _registry()
    for name, analysis in found.analyses.items():
        plugin = found.suppliers[name]
        table.add_row(
            *map(terminal.plain, (name, analysis.summary, analysis.paper, f"{plugin.distribution} {plugin.version}"))
        )
    terminal.out().print(table)
    terminal.say("cnnexplain run ANALYSIS --help shows its options.")
    _warn_of_problems()


def _train(
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where to write the model.")] = Path("lenet.keras"),
    epochs: Annotated[int, typer.Option(min=1, help="How many times to go through the training images.")] = 15,
    batch_size: Annotated[int, typer.Option(min=1, help="Images per step.")] = 64,
    seed: Annotated[int, typer.Option(min=0, help="Decides the first weights and the order of the images.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace FILE if it exists.")] = False,
    verbose: VerboseOption = False,
) -> None:
    """Train the LeNet on the embedded MNIST.

    Ctrl-C keeps the best model so far.
    """
    if out.suffix != ".keras":
        raise UsageError(f"--out takes a name that ends in .keras, but got '{out}'.")
    if out.is_dir() or (out.exists() and not overwrite):
        raise UsageError(f"'{out}' exists; choose another --out, or replace it with --overwrite.")
    files.check_writable(out)
    with terminal.quiet(verbose), terminal.training_progress() as shown:
        task = shown.add_task("Starting Keras", total=None, figures="")
        _start_keras()
        from cnnexplain import classifier, lenet

        def report(now: TrainingProgress) -> None:
            shown.update(
                task,
                description=f"Epoch {now.epoch}/{now.epochs}",
                completed=(now.epoch - 1) * now.steps + now.step,
                total=now.epochs * now.steps,
                figures=f"loss {now.loss:.4f}, accuracy {now.accuracy:.2%}",
            )
            if now.validation is not None:
                loss, accuracy = now.validation
                shown.console.print(
                    f"epoch {now.epoch:2}: loss {now.loss:.4f}, accuracy {now.accuracy:.2%}; "
                    f"validation log loss {loss:.4f}, accuracy {accuracy:.2%}",
                    highlight=False,
                    soft_wrap=True,
                )

        training = lenet.train(out, epochs=epochs, batch_size=batch_size, seed=seed, progress=report)
        done = training.epoch and not training.interrupted
        evaluation = lenet.evaluate(classifier.load(out)) if done else None
    if training.interrupted and not training.epoch:
        raise typer.Exit(INTERRUPTED)
    if not training.epoch:
        raise CnnExplainError("No model was kept: no epoch ended with a finite validation loss.")
    terminal.say(
        f"Kept the model of epoch {training.epoch}: validation log loss {training.loss:.4f}, "
        f"accuracy {training.accuracy:.2%}"
    )
    _print_path(out)
    if evaluation is None:
        raise typer.Exit(INTERRUPTED)
    terminal.say(f"Test images: log loss {evaluation.loss:.4f}, accuracy {evaluation.accuracy:.2%}")


def _evaluate(model: ModelOption = models.INCLUDED, verbose: VerboseOption = False) -> None:
    """Measure a model of digits on the 10,000 test images of MNIST."""
    models.find(model)
    with terminal.quiet(verbose), terminal.progress() as shown:
        classifier = _load(model, shown)
        shown.add_task("Evaluating", total=None)
        from cnnexplain.lenet import evaluate

        evaluation = evaluate(classifier)
    _print_assumption(classifier)
    terminal.say(f"accuracy  {evaluation.accuracy:.2%}")
    terminal.say(f"log loss  {evaluation.loss:.4f}")
    table = Table("", *map(str, range(10)), title="Digits (rows) and predictions (columns)", title_justify="left")
    for column in table.columns:
        column.justify = "right"
    for digit, counts in enumerate(evaluation.confusion):
        cells = [Text(str(count), style="" if count else "dim") for count in counts]
        cells[digit].stylize("bold")
        table.add_row(Text(str(digit), style="bold"), *cells)
    terminal.out().print(table)


def _info(verbose: VerboseOption = False) -> None:
    """Show versions, the backend, its devices, and where data and model lie."""
    with terminal.quiet(verbose), terminal.progress() as shown:
        shown.add_task("Starting Keras", total=None)
        _start_keras()
        from importlib import metadata

        import keras

        devices = ", ".join(keras.distribution.list_devices())
    rows = [
        ("cnnexplain", __version__),
        ("Python", platform.python_version()),
        ("Keras", keras.__version__),
        (keras.backend.backend(), metadata.version(keras.backend.backend())),
        ("NumPy", metadata.version("numpy")),
        ("Keras backend", keras.backend.backend()),
        ("devices", devices),
        ("model", str(datasets.asset("lenet.keras"))),
        ("data", str(datasets.asset("mnist.npz"))),
    ]
    for name, value in rows:
        terminal.say(f"{name:14} {value}")


def _print_assumption(classifier: Classifier) -> None:
    low, high = classifier.preprocess.low, classifier.preprocess.high
    if classifier.preprocess.assumed:
        terminal.say(f"Nothing in the model tells its input range: pixels were scaled to {low:g} to {high:g}.")


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
            cells += [explained.objective or record.labels[explained.target], percent(explained.target_probability)]
        table.add_row(*map(terminal.plain, cells))
    if len(record.explained) > SHOWN:
        table.add_row(f"… and {len(record.explained) - SHOWN} more")
    terminal.out().print(table)


def _print_mind(record: Record) -> None:
    for warning in record.warnings:
        terminal.complain(f"Warning: {warning}", style="yellow")
    if record.analysis.note:
        terminal.say(f"Mind ({record.analysis.name}): {record.analysis.note}")


def _print_path(path: Path) -> None:
    terminal.say(f"Wrote {path}")


def _warn_of_problems() -> None:
    for problem in _registry().problems:
        terminal.complain(f"Warning: {problem}", style="yellow")


def _fail(message: str, code: int) -> int:
    terminal.complain(f"Error: {message}")
    return code


def _first(items: Sequence[Any]) -> Sequence[Any]:
    return items[:SHOWN]
