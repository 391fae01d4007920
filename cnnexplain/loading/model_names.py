"""Finds a model by its name: a file, the included model, or a model supplied by a plugin."""

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
    from cnnexplain.plugin.named_model import NamedModel


def find(name: str | os.PathLike[str]) -> Path | NamedModel:
    """The file of a model, or the model that a plugin supplies under this name.

    Args:
        name: The path of a file, the name of the included model, or that of a model supplied by a plugin.

    Raises:
        UsageError: There is no such file and no such name.
        ModelError: The file is not a Keras model.
        PluginError: Several plugins supply a model with this name.
    """
    if name == INCLUDED:
        return asset("lenet.keras")
    if Path(name).suffix.lower() == ".json":
        raise UsageError(f"'{name}' is a JSON file, not a model; give the model file next to it (.keras or .h5).")
    if is_file(name) or isinstance(name, os.PathLike):
        return _model(name, [INCLUDED])
    # Finding the plugins takes a fifth of the startup time.
    from cnnexplain.plugin import registry

    offered = registry.load().models
    if name in offered or name in offered.clashes:
        return offered.pick(name)[0]
    broken = "".join(f" Broken: {problem}" for problem in registry.load().broken)
    return _model(name, [INCLUDED, *offered], broken)


def _model(name: str | os.PathLike[str], names: list[str], more: str = "") -> Path:
    path = Path(name)
    if not files.is_there(path, "model file", folder=True):
        expected = f" Give a .keras or .h5 file, the included '{INCLUDED}', or a name from 'cnnexplain list'."
        files.existing(name, "model file", names, expected + more)
    file_formats.check(path)
    return path
