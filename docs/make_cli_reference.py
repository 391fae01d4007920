"""Generates docs/cli.md, the command-line reference, from the commands.

Run it in the root of the repository with: python docs/make_cli_reference.py
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main
from rich.text import Text

from cnnexplain.cli import app, model_options
from cnnexplain.plugin import registry

PAGE = Path(__file__).parent / "cli.md"

TYPES = {"str": "TEXT", "int": "INTEGER", "float": "NUMBER", "path": "PATH"}
"""The types of values in the reference, by their names in Typer."""

HEAD = """\
# Command-line reference

This page lists all commands and their options. [The command line](command-line.md) explains how to use them.
`python docs/make_cli_reference.py` generates the page, and a test checks that it is up to date.

Every command also accepts `--help`. `cnnexplain --version` shows the version.
"""

MODEL = """\
## The model and its input

Every command that loads a model has these options. [Models and their input](models.md) explains them.
"""


def reference() -> str:
    """The text of the page, with the commands and the built-in analyses."""
    root = typer.main.get_command(app.command_app())
    sections = [HEAD]
    for path, command in _commands(root, "cnnexplain"):
        context = command.make_context(path, [], resilient_parsing=True)
        own, of_model = _split(command)
        sections.append(
            f"## {path}\n\n`{_plain(command.get_usage(context)).removeprefix('Usage: ')}`\n\n{_plain(command.help)}\n"
        )
        sections.append(_table(own, context))
        if of_model:
            but = "" if "model" in of_model else ", except `--model`"
            sections.append(f"Also accepts the options of [the model and its input](#the-model-and-its-input){but}.\n")
    sections += [MODEL, _table(list(_split(command)[1].values()), context)]
    return "\n".join(section for section in sections if section)


def _commands(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    """The commands that are not groups, with their full names; those of the analyses come last."""
    analyses = registry.load().analyses
    for name, inner in command.commands.items():
        foreign = name in analyses and analyses.suppliers[name].distribution != "cnnexplain"
        if hasattr(inner, "commands"):
            yield from _commands(inner, f"{path} {name}")
        elif not inner.hidden and not foreign:
            yield f"{path} {name}", inner


def _split(command: Any) -> tuple[list[Any], dict[str, Any]]:
    """The command's own parameters, and those of the model by name."""
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
    # The default and the range follow the help text; only the latter is markup.
    extra = text.removeprefix(parameter.help).strip()
    argument = parameter.param_type_name == "argument"
    declaration = re.sub(
        r" <(?:list\[)?(\w+)(?: range)?\]?>", lambda kind: "" if argument else f" {TYPES[kind[1]]}", declaration
    )
    extra = re.sub(r"x>=(\w+)", r"at least \1", re.sub(r"(\w+)<=x<=(\w+)", r"\1 to \2", extra))
    cells = f"`{declaration}`", f"{_plain(parameter.help)} {extra}".strip()
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _plain(text: str) -> str:
    return Text.from_markup(text).plain


if __name__ == "__main__":
    PAGE.write_text(reference(), encoding="utf-8")
