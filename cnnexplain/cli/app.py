"""The command line: the commands, the exit codes, and the messages for errors."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from cnnexplain import __version__, former_names
from cnnexplain.cli import completion, configuration, console, environment, session
from cnnexplain.cli.commands.doctor import doctor_command
from cnnexplain.cli.commands.evaluate import evaluate_command
from cnnexplain.cli.commands.info import info
from cnnexplain.cli.commands.list import list_command, list_installed
from cnnexplain.cli.commands.plugin import check_plugin, new_plugin
from cnnexplain.cli.commands.redraw import redraw_command
from cnnexplain.cli.commands.train import train
from cnnexplain.errors import CnnExplainError, InterruptionError, reason, short, shown
from cnnexplain.interruption import interrupted, listen
from cnnexplain.plugin.docstrings import docstring

RUN = "Explain images with one of the analyses."
REPORT = "Run several analyses, the cheapest first, and write report.html, one page that grows with each of them."


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit code: 0, 1 for a failure, 2 for wrong usage, 130 after Ctrl-C."""
    if arguments is None:
        # SIGTERM is handled like Ctrl-C, so that nothing unfinished is left behind.
        listen()
    words = list(map(former_names.flag, sys.argv[1:] if arguments is None else arguments))
    environment.believe_widths()

    def run(typed: Sequence[str], configured: bool = False) -> Any:
        app = command_app(analyses="run" in typed or configured, report="report" in typed or configured)
        return app(args=words, prog_name="cnnexplain", standalone_mode=False)

    if completion.asked():
        return completion.complete(lambda: run(completion.typed()))
    try:
        # A configuration may set options of analyses, which only their commands can check.
        configured = bool(configuration.found()) or any(word.partition("=")[0] == "--config" for word in words)
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
        # With no arguments at all the help has been printed, and there is nothing to add.
        if not error.format_message():
            return error.exit_code
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
        # Rich exits when its output is closed, as behind `| head`.
        if isinstance(error.__context__, BrokenPipeError):
            return 1
        code = _unexpected(error, words)
    if code == InterruptionError.exit_code:
        console.complain("Interrupted: nothing more was written.")
    return int(code or 0)


def command_app(*, analyses: bool, report: bool) -> typer.Typer:
    """The Typer application.

    Args:
        analyses: Whether to make the commands of the analyses, for which the plugins are loaded.
        report: Likewise for the command `report`.
    """
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
    add("list", list_command())
    add("train", train)
    add("evaluate", evaluate_command())
    add("doctor", doctor_command())
    add("redraw", redraw_command())
    add("info", info)
    add("new-plugin", new_plugin)
    add("check-plugin", check_plugin)
    return app


def _run_app() -> typer.Typer:
    from cnnexplain.cli.commands.run import run_app

    return run_app(list_installed)


def _report_command() -> Callable[..., None]:
    from cnnexplain.cli.commands.report import report_command

    return report_command()


def _no_analyses() -> None:
    """Stands for the analyses where none of them is called."""


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
            help=f"Defaults for the options; overrides {configuration.NAME} in this folder and the user's own file.",
        ),
    ] = None,
) -> None:
    paths = [*configuration.found(), *([] if named is None else [named])]
    if paths:
        context.default_map = configuration.defaults(context, paths, named)
    context.obj = paths


def _usage_message(error: typer.TyperException) -> str:
    """Typer's message about a command line, with what it leaves out."""
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
    # Where a value is of another type, Typer has this from Pydantic.
    found: list[dict[str, Any]] = getattr(error.__cause__, "errors", list)()
    return error.format_message() + "".join(f", but got {shown(each['input'])}" for each in found) + ("." if found else "")


def _fail(message: str, code: int) -> int:
    gone = "" if environment.here() else " The current folder no longer exists."
    # Typer, for one, repeats a word however long it is.
    console.complain(f"Error: {short(message)}{gone}")
    return code


def _unexpected(error: Exception | SystemExit, words: Sequence[str]) -> int:
    """Reports an unforeseen error in a line; with --verbose, raises it with its traceback."""
    if interrupted(error):
        return InterruptionError.exit_code
    if "--verbose" in words:
        raise error
    place = traceback.extract_tb(error.__traceback__)[-1:]
    where = "".join(f" ({Path(frame.filename).name}, line {frame.lineno})" for frame in place)
    return _fail(
        f"cnnexplain failed unexpectedly: {reason(error)}{where}. Please report it with the output of --verbose.", 1
    )
