"""The default configuration files. Every command looks for them; `configuration` reads those that exist."""

from __future__ import annotations

import os
from pathlib import Path

import typer

NAME = "cnnexplain.toml"


def default_files() -> list[Path]:
    """The default files that exist: the user's own, then the one in the current folder."""
    # Path.is_file raises if a folder can't be searched.
    return [path for path in (user_file(), Path(NAME)) if os.path.isfile(path)]


def user_file() -> Path:
    """The path of the user's own file."""
    return Path(typer.get_app_dir("cnnexplain")) / "config.toml"
