"""Names of models → files, or what a plugin offers by that name."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from cnnexplain import files
from cnnexplain.errors import UsageError
from cnnexplain.inputs.datasets import asset
from cnnexplain.loading import file_formats
from cnnexplain.model.model_files import INCLUDED, is_file

if TYPE_CHECKING:
    from cnnexplain.plugin.analysis import NamedModel


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
    if not files.is_there(path, "model file", folder=True):
        expected = f" Give a .keras or .h5 file, '{INCLUDED}', which is included, or a name from 'cnnexplain list'."
        files.existing(name, "model file", known, expected + more)
    file_formats.check(path)
    return path
