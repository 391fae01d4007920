"""Names of models → files."""

from __future__ import annotations

import os
from pathlib import Path

from cnnexplain.datasets import asset
from cnnexplain.errors import UsageError, suggest

INCLUDED = "lenet"
"""The name of the model that comes with the package."""


def find(name: str | os.PathLike[str]) -> Path:
    """The file of a model: of the one that is included, for its name, else the one at that path.

    Raises:
        UsageError: There is no such file.
    """
    if name == INCLUDED:
        return asset("lenet.keras")
    path = Path(name)
    try:
        exists = path.is_file()
    except OSError as error:
        raise UsageError(f"Can't look for the model '{str(path)[:80]}': {error.strerror}.") from error
    if not exists:
        siblings = os.listdir(path.parent) if path.parent.is_dir() else []
        near = suggest(path.name, [INCLUDED, *siblings])
        raise UsageError(f"There is no model file '{path}'.{near} Give a .keras file, or '{INCLUDED}', which is included.")
    return path
