"""Names of models → files, or what a plugin offers by that name."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from cnnexplain.errors import UsageError, suggest
from cnnexplain.inputs.datasets import asset
from cnnexplain.loading import file_formats

if TYPE_CHECKING:
    from cnnexplain.plugin.analysis import NamedModel

INCLUDED = "lenet"
"""The name of the model that comes with the package."""


def is_file(name: str | os.PathLike[str]) -> bool:
    """Whether a name is that of a model file, by its ending."""
    return Path(name).suffix.lower() in file_formats.MODELS


def find(name: str | os.PathLike[str]) -> Path | NamedModel:
    """The file of a model, or the offer of a plugin for that name; the file of the one that is included, for its name.

    Raises:
        UsageError: There is no such file and no such name.
        ModelError: There is one, but it is something else than a Keras model.
        PluginError: Several plugins offer the name.
    """
    if name == INCLUDED:
        return asset("lenet.keras")
    if Path(name).suffix.lower() == ".json":
        raise UsageError(f"'{name}' is a JSON file and no model; give the model file that it lies beside (.keras or .h5).")
    if is_file(name) or isinstance(name, os.PathLike):
        return _model(name, [INCLUDED])
    # Reading what is installed takes a fifth of a start.
    from cnnexplain.plugin import registry

    offered = registry.load().models
    if name in offered or name in offered.clashes:
        return offered.pick(name)[0]
    broken = "".join(f" Broken: {problem}" for problem in registry.load().broken)
    return _model(name, [INCLUDED, *offered], broken)


def _model(name: str | os.PathLike[str], known: list[str], more: str = "") -> Path:
    path = Path(name)
    if not _is("dir", path, "model file"):
        existing(name, "model file", known, more)
    file_formats.check(path)
    return path


def existing(name: str | os.PathLike[str], what: str, known: list[str] | None = None, more: str = "") -> Path:
    """The path of a file that is there.

    Args:
        name: The path.
        what: What the file is called in an error.
        known: Other names that could have been meant, beside those of the folder's files.
        more: What to add to the error.

    Raises:
        UsageError: There is no such file.
    """
    path = Path(name)
    if not _is("file", path, what):
        if _is("dir", path, what):
            raise UsageError(f"'{path}' is a folder; expected a {what}.")
        siblings = [each for each in os.listdir(path.parent) if each != path.name] if path.parent.is_dir() else []
        wanted = path.name if path.parent != Path() else str(name)
        near = suggest(wanted, [*(known or []), *siblings])
        expected = f" Give a .keras or .h5 file, '{INCLUDED}', which is included, or a name from 'cnnexplain list'."
        raise UsageError(f"There is no {what} '{path}'.{near}{expected if known else ''}{more}")
    return path


def _is(kind: str, path: Path, what: str) -> bool:
    try:
        return path.is_dir() if kind == "dir" else path.is_file()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"Can't look for the {what} '{str(path)[:80]}': {reason}.") from error
