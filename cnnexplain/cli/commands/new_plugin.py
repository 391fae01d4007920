"""The command `new-plugin`: creates the package of a plugin."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from cnnexplain.cli import console
from cnnexplain.cli.summary import print_path


def new_plugin_command() -> Callable[..., None]:
    """The command."""
    return new_plugin


def new_plugin(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The name of the analysis, such as edge-energy.")],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FOLDER", help="The folder to create. Default: cnnexplain-NAME.")
    ] = None,
) -> None:
    """The command `new-plugin`."""
    from cnnexplain.cli import scaffold

    folder = Path(f"cnnexplain-{name}") if out is None else out
    for path in scaffold.write(name, folder):
        print_path(path)
    console.say(f"Next: pip install -e {shlex.quote(str(folder))} && cnnexplain check-plugin {name}")
