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
from cnnexplain.cli.commands.verify import verify_command
from cnnexplain.errors import CnnExplainError, InterruptionError, reason, short, shown
from cnnexplain.interruption import interrupted, listen
from cnnexplain.plugin.docstrings import docstring

RUN = "Explain images with one of the analyses."
REPORT = "Run several analyses, the cheapest first, and write report.html, which is updated after each analysis."


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit code: 0, 1 for a failure, 2 for invalid usage, 130 after Ctrl-C."""
    if arguments is None:
        # SIGTERM is handled like Ctrl-C, so that nothing unfinished is left behind.
        listen()
    words = list(map(former_names.flag, sys.argv[1:] if arguments is None else arguments))
    environment.drop_invalid_widths()

    def run(typed: Sequence[str], configured: bool = False) -> Any:
        app = command_app(analyses="run" in typed or configured, report="report" in typed or configured)
        return app(args=words, prog_name="cnnexplain", standalone_mode=False)

    if completion.is_requested():
        return completion.complete(lambda: run(completion.typed_words()))
    try:
        # A configuration file may set options of analyses, and only the commands of the analyses can check those.
        configured = bool(configuration.default_files()) or any(word.partition("=")[0] == "--config" for word in words)
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


def command_app(*, analyses: bool, report: bool) -> typer.Typer:
    """The Typer application.

    Args:
        analyses: Whether to create the commands of the analyses, which loads the plugins.
        report: Whether to create the command `report`, which loads the plugins too.
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
    add("verify", verify_command())
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
    """Takes the place of a command that needs the plugins when another command is called."""


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
            help=f"A TOML file with defaults for options; overrides {configuration.NAME} in this folder and your own file.",
        ),
    ] = None,
) -> None:
    paths = [*configuration.default_files(), *([] if named is None else [named])]
    if paths:
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
