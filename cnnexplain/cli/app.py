"""The command line, which with `run` and `startup` is all that prints."""

from __future__ import annotations

import importlib.util
import inspect
import platform
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from cnnexplain import __version__, files
from cnnexplain.backend import BACKENDS, module
from cnnexplain.cli import completion, console, environment, session
from cnnexplain.cli import configuration as config
from cnnexplain.cli.commands import plugin_kit
from cnnexplain.cli.commands.redraw import redraw_command
from cnnexplain.errors import CnnExplainError, InterruptionError, UsageError, reason, short, shown
from cnnexplain.inputs import datasets
from cnnexplain.interruption import check, check_interrupted, interrupted, listen
from cnnexplain.loading import sidecar
from cnnexplain.model import model_files
from cnnexplain.plugin.docstrings import docstring

if TYPE_CHECKING:
    from cnnexplain.plugin.analysis import NamedModel
    from cnnexplain.plugin.options import Parameter
    from cnnexplain.plugin.registry import Plugin
    from cnnexplain.training.evaluation import Evaluation
    from cnnexplain.training.lenet import Progress as TrainingProgress

INCLUDED = "The LeNet that the package ships, of MNIST's digits: 28×28 grey → 10 classes."

RUN = "Explain images with one of the analyses."
REPORT = "Run several analyses, the cheapest first, and write one page of them, report.html, which grows with each."

_PRINTING: dict[str, tuple[Any, Any]] = {
    "json": (session.JsonOption, False),
    "verbose": (session.VerboseOption, False),
}

INTERRUPTED = 130
"""The exit code after Ctrl-C, as shells use it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit code: 0, 1 for a failure, 2 for wrong usage, 130 after Ctrl-C."""
    if arguments is None:
        # A polite request to end is answered like Ctrl-C, so that nothing unfinished is left behind.
        listen()
    words = list(sys.argv[1:] if arguments is None else arguments)
    environment.believe_widths()

    def run(typed: Sequence[str], configured: bool = False) -> Any:
        app = _app(analyses="run" in typed or configured, report="report" in typed or configured)
        return app(args=words, prog_name="cnnexplain", standalone_mode=False)

    if completion.asked():
        return completion.complete(lambda: run(completion.typed()))
    try:
        # Whether a configuration says of an analysis what it may is seen in its command.
        configured = bool(config.found()) or any(word.partition("=")[0] == "--config" for word in words)
        code = run(words, configured)
        environment.flush()
    except InterruptionError as error:
        console.complain(str(error))
        return error.exit_code
    except CnnExplainError as error:
        if not interrupted(error):
            return _fail(str(error), error.exit_code)
        code = INTERRUPTED
    except typer.TyperException as error:
        # With no arguments at all the help has been printed, and there is nothing to add.
        if not error.format_message():
            return error.exit_code
        session.warn_of_problems()
        return _fail(_words(error), error.exit_code)
    except KeyboardInterrupt:
        code = INTERRUPTED
    except OSError as error:
        if environment.is_printing(error):
            problem = environment.unwritable(error)
            return 1 if problem is None else _fail(problem, 1)
        code = _unexpected(error, words)
    except (Exception, SystemExit) as error:  # noqa: BLE001
        # Rich ends the program where nobody reads any more what it prints, as behind `| head`.
        if isinstance(error.__context__, BrokenPipeError):
            return 1
        code = _unexpected(error, words)
    if code == INTERRUPTED:
        console.complain("Interrupted: nothing more was written.")
    return int(code or 0)


def _app(*, analyses: bool, report: bool) -> typer.Typer:
    app = typer.Typer(
        help="See what a convolutional network sees: explain the predictions of Keras image classifiers.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )

    def add(name: str, command: Callable[..., None]) -> None:
        app.command(name, help=docstring(command))(command)

    app.callback()(_root)
    app.add_typer(_run_app() if analyses else typer.Typer(callback=_no_analyses), name="run", help=RUN)
    app.command("report", help=REPORT)(_report_command() if report else _no_analyses)
    add("list", _list_command())
    add("train", _train)
    evaluate = session.declare(_evaluate, {**session.MODEL_OPTIONS, **_PRINTING})
    add("evaluate", evaluate)
    add("doctor", _doctor_command())
    add("redraw", redraw_command())
    add("info", _info)
    add("new-plugin", plugin_kit.new_plugin)
    add("check-plugin", plugin_kit.check_plugin)
    return app


def _version(wanted: bool) -> None:
    if wanted:
        console.say(f"cnnexplain {__version__}")
        raise typer.Exit


def _root(
    context: typer.Context,
    _: Annotated[  # Typer calls _version before it looks for a command.
        bool, typer.Option("--version", help="Show the version and exit.", is_eager=True, callback=_version)
    ] = False,
    configuration: Annotated[
        Path | None,
        typer.Option(
            "--config",
            metavar="FILE",
            help=f"Defaults for the options, over those of {config.NAME} in this folder and of the user's own file.",
        ),
    ] = None,
) -> None:
    files = [*config.found(), *([] if configuration is None else [configuration])]
    if files:
        context.default_map = config.defaults(context, files, configuration)
    context.obj = files


def _run_app() -> typer.Typer:
    from cnnexplain.cli.commands.run import run_app

    return run_app(_list)


def _report_command() -> Callable[..., None]:
    from cnnexplain.cli.commands.report import report_command

    return report_command()


def _no_analyses() -> None:
    """Stands for the analyses where none of them is called."""


def _list(json: bool = False) -> None:
    """Says what is installed."""
    with console.document(json) as emit:
        if json:
            emit(_offers())
        else:
            _print_offers()
    session.warn_of_problems()


def _list_command() -> Callable[..., None]:
    """The command `list`, which takes a model where its classes are asked for."""

    def command(*, context: typer.Context, classes: bool, json: bool, verbose: bool, **given: Any) -> None:
        """List the analyses, each with its paper, and the models, with the distributions that they come from."""
        if classes:
            _list_classes(session.model_request(given), json=json, verbose=verbose)
            return
        # A configuration may name a model for all commands.
        typed = [name for name in given if getattr(context.get_parameter_source(name), "name", "") == "COMMANDLINE"]
        if typed:
            raise UsageError(f"--{typed[0].replace('_', '-')} says whose classes to list: add --classes.")
        _list(json)

    option = typer.Option("--classes", help="List the classes or values of --model instead, with their numbers.")
    context = {"context": (typer.Context, inspect.Parameter.empty)}
    declared = {**context, "classes": (Annotated[bool, option], False), **_PRINTING, **session.MODEL_OPTIONS}
    return session.declare(command, declared)


def _list_classes(request: session.ModelRequest, *, json: bool, verbose: bool) -> None:
    with console.document(json) as emit:
        with console.quiet(verbose), console.progress() as shown:
            classifier = session.load(request, shown)
        if json:
            emit({"model": classifier.name, "sha256": classifier.sha256, "classes": list(classifier.labels)})
        else:
            for index, label in enumerate(classifier.labels):
                console.say(f"{index:>{len(str(len(classifier.labels)))}}  {label}")


def _offers() -> dict[str, Any]:
    found = session.registry()

    def supplier(plugin: Plugin) -> dict[str, Any]:
        return {"distribution": plugin.distribution, "version": plugin.version}

    def option(parameter: Parameter) -> dict[str, Any]:
        return {
            "name": parameter.name,
            "flag": parameter.flag,
            "type": parameter.type.__name__,
            "default": parameter.default,
            "optional": parameter.optional,
            "many": parameter.many,
            "choices": parameter.choices,
            "min": parameter.option.min,
            "max": parameter.option.max,
            "help": parameter.option.help,
        }

    analyses = [
        {
            "name": name,
            "summary": analysis.summary,
            "paper": analysis.paper,
            "inputs": analysis.inputs,
            "options": list(map(option, analysis.options)),
            **supplier(found.analyses.suppliers[name]),
        }
        for name, analysis in found.analyses.items()
    ]
    included = {"name": model_files.INCLUDED, "summary": INCLUDED, "distribution": "cnnexplain", "version": __version__}
    offered = [
        {"name": name, "summary": model.summary, **supplier(found.models.suppliers[name])}
        for name, model in found.models.items()
    ]
    return {"analyses": analyses, "models": [included, *offered], "problems": list(map(str, found.problems))}


def _print_offers() -> None:
    analyses = session.registry().analyses
    rows = []
    for name, analysis in analyses.items():
        plugin = analyses.suppliers[name]
        rows.append((name, analysis.summary, analysis.paper, f"{plugin.distribution} {plugin.version}"))
    console.table(("Analysis", "Shows", "Paper", "From"), rows)
    console.table(("Model", "What it is", "From"), _model_rows())
    console.say("cnnexplain run ANALYSIS --help shows its options.")


def _model_rows() -> Iterator[tuple[str, str, str]]:
    """The models by name; those whose names begin alike up to a colon in one row."""
    yield model_files.INCLUDED, INCLUDED, f"cnnexplain {__version__}"
    offered = session.registry().models
    rows: dict[tuple[str, str], list[NamedModel]] = {}
    for name, model in offered.items():
        group, colon, _ = name.rpartition(":")
        plugin = offered.suppliers[name]
        rows.setdefault((group + colon or name, f"{plugin.distribution} {plugin.version}"), []).append(model)
    for (name, distribution), alike in rows.items():
        if len(alike) == 1:
            yield alike[0].name, alike[0].summary, distribution
            continue
        names = ", ".join(model.name.removeprefix(name) for model in alike)
        yield f"{name}NAME", f"NAME is one of {names}.", distribution


def _train(
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where to write the model.")] = Path("lenet.keras"),
    epochs: Annotated[
        int, typer.Option(min=1, max=1_000_000, help="How many times to go through the training images.")
    ] = 15,
    batch_size: Annotated[int, typer.Option(min=1, max=60_000, help="Images per step.")] = 64,
    seed: Annotated[
        int, typer.Option(min=0, max=2**32 - 1, help="Decides the first weights and the order of the images.")
    ] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace FILE and its sidecar if they exist.")] = False,
    backend: session.BackendOption = None,
    verbose: session.VerboseOption = False,
) -> None:
    """Train the LeNet on the embedded MNIST.

    Writes a sidecar beside the model, which says what its input is. Ctrl-C keeps the best model so far.
    """
    if out.suffix != ".keras":
        raise UsageError(f"--out takes a name that ends in .keras, but got '{out}'.")
    for path in (out, sidecar.place(out)):
        if path.is_dir() or (path.exists() and not overwrite):
            raise UsageError(f"'{path}' exists; choose another --out, or replace it with --overwrite.")
    files.check_writable(out)
    with console.quiet(verbose), console.training_progress() as shown:
        task = shown.add_task("Starting Keras", total=None, figures="")
        session.start_keras(backend)
        from cnnexplain.loading import loader
        from cnnexplain.training import lenet
        from cnnexplain.training.evaluation import evaluate

        def report(now: TrainingProgress) -> None:
            check()
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
        evaluation = evaluate(loader.load(out)) if done else None
    if training.interrupted and not training.epoch:
        raise typer.Exit(INTERRUPTED)
    if not training.epoch:
        raise CnnExplainError("No model was kept: no epoch ended with a finite validation loss.")
    console.say(
        f"Kept the model of epoch {training.epoch}: validation log loss {training.loss:.4f}, "
        f"accuracy {training.accuracy:.2%}"
    )
    session.print_path(out)
    session.print_path(sidecar.place(out))
    if evaluation is None:
        raise typer.Exit(INTERRUPTED)
    console.say(f"Test images: log loss {evaluation.loss:.4f}, accuracy {evaluation.accuracy:.2%}")


def _evaluate(*, json: bool, verbose: bool, **given: Any) -> None:
    """Measure a model of digits on the 10,000 test images of MNIST."""
    request = session.model_request(given)
    with console.document(json) as emit:
        with console.quiet(verbose), console.progress() as shown:
            classifier = session.load(request, shown)
            shown.add_task("Evaluating", total=None)
            from cnnexplain.training.evaluation import evaluate

            evaluation = evaluate(classifier)
        session.print_assumption(classifier)
        if json:
            figures = {"accuracy": evaluation.accuracy, "log_loss": evaluation.loss}
            confusion = evaluation.confusion.tolist()
            model = {"model": classifier.name, "sha256": classifier.sha256, "images": int(evaluation.confusion.sum())}
            emit({**model, **figures, "confusion": confusion})
        else:
            _print_evaluation(evaluation)


def _print_evaluation(evaluation: Evaluation) -> None:
    console.say(f"accuracy  {evaluation.accuracy:.2%}")
    console.say(f"log loss  {evaluation.loss:.4f}")
    table = Table("", *map(str, range(10)), title="Digits (rows) and predictions (columns)", title_justify="left")
    for column in table.columns:
        column.justify = "right"
    for digit, counts in enumerate(evaluation.confusion):
        cells = [Text(str(count), style="" if count else "dim") for count in counts]
        cells[digit].stylize("bold")
        table.add_row(Text(str(digit), style="bold"), *cells)
    console.out().print(table)


def _info(
    context: typer.Context,
    backend: session.BackendOption = None,
    json: session.JsonOption = False,
    verbose: session.VerboseOption = False,
) -> None:
    """Show versions, the backends and their devices, where data and model lie, and the configuration files in force."""
    with console.document(json) as emit:
        found = _found(backend, context.obj or [], verbose=verbose)
        if json:
            emit(found)
            return
    for each in found.pop("backends"):
        used = "in use, " if each["name"] == found["backend"] else ""
        known = f"version {each['version']}, devices {', '.join(each['devices'])}"
        found[each["name"]] = used + (each["problem"] or known)
    found["configuration"] = ", ".join(found["configuration"]) or "none"
    names = {"python": "Python", "keras": "Keras", "numpy": "NumPy"}
    for name, value in found.items():
        if name != "backend":
            console.say(f"{names.get(name, name):14} {value}")


def _found(backend: str | None, configuration: Sequence[Path], *, verbose: bool) -> dict[str, Any]:
    with console.quiet(verbose), console.progress() as shown:
        shown.add_task("Starting Keras and the backends", total=None)
        session.start_keras(backend)
        import keras

        used = keras.backend.backend()
        backends = list(map(_backend, BACKENDS))
    return {
        "cnnexplain": __version__,
        "python": platform.python_version(),
        "keras": keras.__version__,
        "numpy": metadata.version("numpy"),
        "backend": used,
        "backends": backends,
        "model": str(datasets.asset("lenet.keras")),
        "data": str(datasets.asset("mnist.npz")),
        "configuration": list(map(str, configuration)),
    }


def _backend(name: str) -> dict[str, Any]:
    """A backend's version and devices, or why it can't be used."""
    found: dict[str, Any] = {"name": name, "version": None, "devices": [], "problem": None}
    if importlib.util.find_spec(name) is None:
        return {**found, "problem": f"not installed: {BACKENDS[name]}"}
    try:
        devices = list(module(name).devices())
    # One that is broken fails in its own way, and says little about the others.
    except Exception as error:  # noqa: BLE001
        check_interrupted(error)
        return {**found, "problem": f"can't be used: {reason(error)}"}
    return {**found, "version": metadata.version(name), "devices": devices}


def _doctor_command() -> Callable[..., None]:
    """The command `doctor`, whose model is an argument and not an option."""

    def command(**given: Any) -> None:
        """Show what is understood of a model, and what you would trip over. The exit code is 0 when all is well."""
        from cnnexplain.cli.commands.doctor import diagnose

        images, verbose, json = given.pop("images"), given.pop("verbose"), given.pop("json")
        if not diagnose(session.model_request(given), images or [], verbose=verbose, json=json):
            raise typer.Exit(1)

    model = Annotated[str, typer.Argument(metavar="MODEL", help=session.MODEL_HELP, autocompletion=completion.named_models)]
    images = Annotated[
        list[str] | None,
        typer.Argument(
            metavar="IMAGES",
            help="Files, folders, globs or samples to try it on; the more, the surer.",
            autocompletion=completion.samples,
        ),
    ]
    options = {name: option for name, option in session.MODEL_OPTIONS.items() if name != "model"}
    declared = {"model": (model, inspect.Parameter.empty), "images": (images, None), **options}
    return session.declare(command, {**declared, **_PRINTING})


def _words(error: typer.TyperException) -> str:
    """What Typer says of a command line, with what it leaves out."""
    option, command = getattr(error, "option_name", None), getattr(error, "cmd", None)
    if option == "--model" and getattr(command, "name", None) == "doctor":
        return "No such option: --model. The model stands by itself: cnnexplain doctor MODEL."
    owners = [
        analysis.name
        for analysis in (session.registry().analyses.values() if option else ())
        if option in [parameter.flag for parameter in analysis.options]
    ]
    if owners:
        return f"No such option here: {option}. It belongs to 'cnnexplain run {' or '.join(owners)}'."
    # Where a value is of another type, Typer has this from Pydantic.
    found: list[dict[str, Any]] = getattr(error.__cause__, "errors", list)()
    return error.format_message() + "".join(f", but got {shown(each['input'])}" for each in found) + ("." if found else "")


def _fail(message: str, code: int) -> int:
    gone = "" if environment.here() else " The current folder no longer exists."
    # Typer, for one, repeats a word however long it is.
    console.complain(f"Error: {short(message)}{gone}")
    return code


def _unexpected(error: Exception | SystemExit, words: Sequence[str]) -> int:
    """What nobody has foreseen: a line for users, the traceback for those who ask for it."""
    if interrupted(error):
        return INTERRUPTED
    if "--verbose" in words:
        raise error
    place = traceback.extract_tb(error.__traceback__)[-1:]
    where = "".join(f" ({Path(frame.filename).name}, line {frame.lineno})" for frame in place)
    return _fail(f"An error that cnnexplain did not expect, {reason(error)}{where}. Please report it, with --verbose.", 1)
