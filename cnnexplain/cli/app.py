"""The command line: the commands, the exit codes, and the messages for errors."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Collection, Sequence
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from cnnexplain import __version__, former_names
from cnnexplain.cli import configuration_files, console, environment, session
from cnnexplain.errors import CnnExplainError, InterruptionError, reason, short, shown
from cnnexplain.interruption import interrupted, listen

HELP = {
    "run": "Explain images with one of the analyses.",
    "report": "Run several analyses, the cheapest first, and write report.html, which is updated after each analysis.",
    "list": "List the installed analyses and metrics with their papers, and the models that have a name.",
    "train": "Train the LeNet on the included MNIST.\n\n"
    "Also writes a sidecar file that describes the input of the model. Ctrl-C keeps the best model so far.",
    "evaluate": "Evaluate a digit classifier on the 10,000 test images of MNIST.",
    "benchmark": "Compare explanation methods by metrics, with intervals, and with controls that explain no network.",
    "doctor": "Check a model and its input settings, and try every analysis on it. The exit code is 0 if no problem is "
    "found.",
    "verify": "Test whether results are what their methods define, stable, and about this network.\n\n"
    "The exit code is 0 if no check fails. The folder of a saved result is recomputed and compared.",
    "studio": "Open a local web page that shows a model at work on an image that you draw or choose.",
    "redraw": "Redraw the pictures of a result from its saved arrays, and replace the earlier ones. Keras is not needed.",
    "info": "Show versions, backends and their devices, the paths of the included model and data, and the configuration "
    "files.",
    "new-plugin": "Create a package for your own analysis: a working example with its test and its page.",
    "check-plugin": "Run the conformance tests on an analysis. The exit code is 0 if it passes.\n\n"
    "The analysis runs with its trial options on the LeNet, on small models, and with every installed backend.",
}
"""The commands with their help texts. They are here because importing all commands takes as long as the rest of --help."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit code: 0, 1 for a failure, 2 for invalid usage, 130 after Ctrl-C."""
    if arguments is None:
        # SIGTERM is handled like Ctrl-C, so that nothing unfinished is left behind.
        listen()
    words = list(map(former_names.flag, sys.argv[1:] if arguments is None else arguments))
    environment.drop_invalid_widths()

    def run(typed: Sequence[str], configured: bool = False) -> Any:
        app = command_app(HELP if configured else typed)
        return app(args=words, prog_name="cnnexplain", standalone_mode=False)

    if os.environ.get(environment.COMPLETION):
        from cnnexplain.cli import completion

        return completion.complete(lambda: run(completion.typed_words()))
    try:
        # A configuration file may set options of analyses, and only the commands of the analyses can check those.
        configured = bool(configuration_files.default_files()) or any(word.partition("=")[0] == "--config" for word in words)
        code = run(words, configured)
        environment.flush()
    except InterruptionError as error:
        console.complain(str(error))
        return error.exit_code
    except CnnExplainError as error:
        if not interrupted(error):
            return _fail(str(error), error.exit_code)
        code = InterruptionError.exit_code
    except typer.TyperException as error:
        # Without arguments, Typer has already printed the help.
        if not error.format_message():
            return error.exit_code
        # A broken plugin may be the reason that a command does not know a word; the program itself has fixed commands.
        if getattr(getattr(error, "ctx", None), "parent", None) is not None:
            session.warn_of_problems()
        return _fail(_usage_message(error), error.exit_code)
    except KeyboardInterrupt:
        code = InterruptionError.exit_code
    except OSError as error:
        if environment.is_printing(error):
            problem = environment.unwritable(error)
            return 1 if problem is None else _fail(problem, 1)
        code = _unexpected(error, words)
    except (Exception, SystemExit) as error:  # noqa: BLE001
        # Rich exits when its output is closed, for example by `| head`.
        if isinstance(error.__context__, BrokenPipeError):
            return 1
        code = _unexpected(error, words)
    if code == InterruptionError.exit_code:
        console.complain("Interrupted: nothing more was written.")
    return int(code or 0)


def command_app(called: Collection[str] = tuple(HELP)) -> typer.Typer:
    """The Typer application.

    Args:
        called: The commands that may be called. The others have only their help texts, because creating commands with their
            options takes long, and some load the plugins.
    """
    app = typer.Typer(
        help="See what a convolutional network sees: explain the predictions of Keras image classifiers.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_root)
    app.add_typer(_run_app() if "run" in called else typer.Typer(callback=_not_called), name="run", help=HELP["run"])
    for name, text in HELP.items():
        if name != "run":
            app.command(name, help=text)(_command(name) if name in called else _not_called)
    return app


def _run_app() -> typer.Typer:
    from cnnexplain.cli.commands.list import list_installed
    from cnnexplain.cli.commands.run import run_app

    return run_app(list_installed)


def _command(name: str) -> Callable[..., None]:
    """The function of a command, whose parameters are its options."""
    module = name.replace("-", "_")
    create: Callable[[], Callable[..., None]] = getattr(
        import_module(f"cnnexplain.cli.commands.{module}"), f"{module}_command"
    )
    return create()


def _not_called() -> None:
    """Takes the place of a command when another one is called."""


def _version(wanted: bool) -> None:
    if wanted:
        console.say(f"cnnexplain {__version__}")
        raise typer.Exit


def _root(
    context: typer.Context,
    _: Annotated[  # Typer calls _version before it looks for a command.
        bool, typer.Option("--version", help="Show the version and exit.", is_eager=True, callback=_version)
    ] = False,
    named: Annotated[
        Path | None,
        typer.Option(
            "--config",
            metavar="FILE",
            help=f"A TOML file with defaults for options; overrides {configuration_files.NAME} in this folder and your own "
            "file.",
        ),
    ] = None,
) -> None:
    paths = [*configuration_files.default_files(), *([] if named is None else [named])]
    if paths:
        from cnnexplain.cli import configuration

        context.default_map = configuration.defaults(context, paths, named)
    context.obj = paths


def _usage_message(error: typer.TyperException) -> str:
    """Typer's message about invalid usage, extended by the command that has the option, or by the invalid value."""
    option, command = getattr(error, "option_name", None), getattr(error, "cmd", None)
    if option == "--model" and getattr(command, "name", None) == "doctor":
        return "No such option: --model. Give the model as an argument: cnnexplain doctor MODEL."
    owners = [
        analysis.name
        for analysis in (session.registry().analyses.values() if option else ())
        if option in [parameter.flag for parameter in analysis.options]
    ]
    if owners:
        return f"No such option here: {option}. It belongs to 'cnnexplain run {' or '.join(owners)}'."
    # For a value of the wrong type, Typer reports an error of Pydantic.
    problems: list[dict[str, Any]] = getattr(error.__cause__, "errors", list)()
    return (
        error.format_message()
        + "".join(f", but got {shown(each['input'])}" for each in problems)
        + ("." if problems else "")
    )


def _fail(message: str, code: int) -> int:
    gone = "" if environment.current_folder_exists() else " The current folder no longer exists."
    # Typer repeats arguments of any length.
    console.complain(f"Error: {short(message)}{gone}")
    return code


def _unexpected(error: Exception | SystemExit, words: Sequence[str]) -> int:
    """Reports an unexpected error in one line; with --verbose, raises it with its traceback."""
    if interrupted(error):
        return InterruptionError.exit_code
    if "--verbose" in words:
        raise error
    frames = traceback.extract_tb(error.__traceback__)[-1:]
    location = "".join(f" ({Path(frame.filename).name}, line {frame.lineno})" for frame in frames)
    return _fail(
        f"cnnexplain failed unexpectedly: {reason(error)}{location}. Please report it with the output of --verbose.", 1
    )
