"""The command line: the only module that prints, and that ends the program."""

from __future__ import annotations

import gc
import inspect
import os
import platform
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Column, Table
from rich.text import Text

from cnnexplain import __version__, datasets, files, models, terminal
from cnnexplain.errors import CnnExplainError, UsageError
from cnnexplain.options import Parameter, validate

if TYPE_CHECKING:
    from rich.progress import Progress

    from cnnexplain.classifier import Classifier
    from cnnexplain.images import ImageBatch
    from cnnexplain.lenet import Progress as TrainingProgress
    from cnnexplain.plugin import Analysis
    from cnnexplain.record import Record
    from cnnexplain.registry import Registry

OUT = Path("cnnexplain-out")
SHOWN = 20
"""How many images the closing table and the notes name before they count the rest."""

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


def _command(analysis: Analysis) -> Callable[..., None]:
    """The command of one analysis: what every analysis has, then its own options, read from its signature."""

    def command(images: list[str] | None, model: str, out: Path, verbose: bool, invert: bool | None, **own: Any) -> None:
        target = own.pop("target", None)
        _explain(analysis, images or [], model, target, out, invert, verbose, own)

    common: dict[str, tuple[Any, Any]] = {
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
        "model": (ModelOption, models.INCLUDED),
        "target": (
            Annotated[
                str | None,
                typer.Option(
                    "--target",
                    metavar="CLASS",
                    help="The class to explain, by label or index. Default: the prediction.",
                ),
            ],
            None,
        ),
        "out": (
            Annotated[Path, typer.Option("--out", metavar="FOLDER", help=f"Results go to FOLDER/{analysis.name}.")],
            OUT,
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
        "verbose": (VerboseOption, False),
    }
    if "targets" not in analysis.inputs:
        del common["target"]
    declared = common | {parameter.name: _option(parameter) for parameter in analysis.options}
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
    kind = parameter.type | None if parameter.optional else parameter.type
    declarations = (parameter.flag,) if parameter.type is not bool else ()
    return Annotated[kind, typer.Option(*declarations, help=escape(text), metavar=metavar)], parameter.default


def _explain(
    analysis: Analysis,
    names: list[str],
    model: str,
    target: str | None,
    out: Path,
    invert: bool | None,
    verbose: bool,
    own: Mapping[str, object],
) -> None:
    from cnnexplain import images, report

    _warn_of_problems()
    folder = out / analysis.name
    # All that can be wrong with what was typed is looked for before TensorFlow is started.
    validate(analysis.options, own)
    report.check_folder(folder)
    if not names:
        terminal.say(f"No image given: explaining the sample digit {datasets.SAMPLE}.")
    found = images.find(names or [datasets.SAMPLE])
    models.find(model)
    with terminal.quiet(verbose), terminal.progress() as shown:
        classifier = _load(model, shown)
        # A target that is not a class is known before any image is read.
        wanted = None if target is None else classifier.target(target)
        batch = images.read_images(found, classifier, invert=invert, progress=terminal.bar(shown, "Reading"))
        from cnnexplain.pipeline import explain

        running = terminal.bar(shown, f"Running {analysis.name}")
        record = explain(analysis.name, classifier, batch, target=wanted, progress=running, **own)
        paths = report.write(record, folder, terminal.bar(shown, "Drawing"))
    _print_assumption(classifier)
    _print_notes(classifier, batch, asked=invert is True)
    _print_record(record)
    for path in _first(paths[:-2]):
        _print_path(path)
    if len(paths) - 2 > SHOWN:
        terminal.say(f"… and {len(paths) - 2 - SHOWN} more pictures in the same folder")
    for path in paths[-2:]:
        _print_path(path)


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


def _print_notes(classifier: Classifier, batch: ImageBatch, *, asked: bool) -> None:
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
    targeted = any(explained.target not in (None, explained.prediction) for explained in record.explained)
    columns = ["Prediction", "Probability", *(["Target", "Its probability"] if targeted else [])]
    table = Table(Column("Image", overflow="fold"), *columns)
    for explained in _first(record.explained):
        cells = [explained.source.name, record.labels[explained.prediction], percent(explained.probability)]
        if targeted and explained.target is not None and explained.target_probability is not None:
            cells += [record.labels[explained.target], percent(explained.target_probability)]
        table.add_row(*map(terminal.plain, cells))
    if len(record.explained) > SHOWN:
        table.add_row(f"… and {len(record.explained) - SHOWN} more")
    terminal.out().print(table)


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
