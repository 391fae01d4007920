"""Declarations of models that users can load by name."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnnexplain.errors import PluginError, shown
from cnnexplain.model import model_files

if TYPE_CHECKING:
    from cnnexplain.inputs.preprocess import Preprocess

LONGEST = 100
"""Maximum number of characters in the name of a model."""


@dataclass(frozen=True)
class Pretrained:
    """A model that a plugin has loaded, with its preprocessing and labels.

    Args:
        model: A Keras model, as for `cnnexplain.load`.
        preprocess: The preprocessing that it expects.
        labels: The names of its K classes.
        sha256: The hash of the weights file; None to hash the weights themselves.
    """

    model: Any
    preprocess: Preprocess
    labels: Sequence[str]
    sha256: str | None = None


@dataclass(frozen=True)
class NamedModel:
    """A model that users can load by name.

    Args:
        name: The name for `--model` and `cnnexplain.load`: letters, digits and ".:_-". Models with the same prefix before a
            ":" are listed together.
        summary: A sentence on the model and the source of its weights.
        load: Builds the model, given the weights file of the user, or None for its own weights.

    Raises:
        PluginError: The declaration breaks one of these rules.
    """

    name: str
    summary: str
    load: Callable[[Path | None], Pretrained]

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not re.fullmatch(rf"[A-Za-z0-9][A-Za-z0-9.:_-]{{,{LONGEST}}}", self.name):
            raise PluginError(f"The model name {shown(self.name)} must consist of letters, digits and '.:_-'.")
        if model_files.is_file(self.name) or self.name == model_files.INCLUDED:
            raise PluginError(f"No model can be named '{self.name}', which is a file or the included model.")
        if not isinstance(self.summary, str) or not self.summary:
            raise PluginError(f"The model '{self.name}' has the summary {shown(self.summary)}; expected a sentence.")
        if not callable(self.load):
            raise PluginError(f"The model '{self.name}' needs a function as load, but got {shown(self.load)}.")
