"""Writes docs/cli.md, the reference of the command line, from the commands themselves.

Run it in the root of the repository with: python docs/make_cli_reference.py
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main
from rich.text import Text

from cnnexplain.cli import app, model_options
from cnnexplain.plugin import registry

PAGE = Path(__file__).parent / "cli.md"

HEAD = """\
# Command line: reference

All commands with all their options. This page is made from the code by `python docs/make_cli_reference.py`; a test sees that
it is up to date.

Every command also takes `--help`. `cnnexplain --version` shows the version.
"""

MODEL = """\
## The model and its input

Options of every command that loads a model. [Models and their input](models.md) says what they mean.
"""


def reference() -> str:
    """The text of the page, of the commands and of the analyses that come with the package."""
    root = typer.main.get_command(app.command_app(analyses=True, report=True))
    sections = [HEAD]
    for path, command in _commands(root, "cnnexplain"):
        context = command.make_context(path, [], resilient_parsing=True)
        own, of_model = _split(command)
        sections.append(
            f"## {path}\n\n`{_plain(command.get_usage(context)).removeprefix('Usage: ')}`\n\n{_plain(command.help)}\n"
        )
        sections.append(_table(own, context))
        if of_model:
            but = "" if "model" in of_model else ", but for `--model`"
            sections.append(f"Also the options of [the model and its input](#the-model-and-its-input){but}.\n")
    sections += [MODEL, _table(list(_split(command)[1].values()), context)]
    return "\n".join(section for section in sections if section)


def _commands(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    """The commands that do something, with what is typed to call them; last those of the analyses."""
    analyses = registry.load().analyses
    for name, inner in command.commands.items():
        foreign = name in analyses and analyses.suppliers[name].distribution != "cnnexplain"
        if hasattr(inner, "commands"):
            yield from _commands(inner, f"{path} {name}")
        elif not inner.hidden and not foreign:
            yield f"{path} {name}", inner


def _split(command: Any) -> tuple[list[Any], dict[str, Any]]:
    """The parameters of its own, and those of the model by name."""
    of_model = {
        parameter.name: parameter
        for parameter in command.params
        if getattr(parameter, "rich_help_panel", "") == model_options.PANEL
    }
    return [parameter for parameter in command.params if parameter.name not in of_model], of_model


def _table(parameters: list[Any], context: Any) -> str:
    rows = [_row(parameter, context) for parameter in parameters if not parameter.hidden]
    return "\n".join(["| option | meaning |", "|---|---|", *rows, ""]) if rows else ""


def _row(parameter: Any, context: Any) -> str:
    declaration, text = parameter.get_help_record(context)
    # The default and the range follow the help, which alone is markup.
    extra = text.removeprefix(parameter.help).strip()
    cells = f"`{declaration}`", f"{_plain(parameter.help)} {extra}".strip()
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _plain(text: str) -> str:
    return Text.from_markup(text).plain


if __name__ == "__main__":
    PAGE.write_text(reference(), encoding="utf-8")
