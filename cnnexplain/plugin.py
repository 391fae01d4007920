"""All that the author of a plugin imports.

A plugin is a module named by an entry point in the group `cnnexplain`; a function in it, marked with `hookimpl` and named
`cnnexplain_analyses`, returns the analyses that it offers. Importing this module imports neither Keras nor Matplotlib, and
a plugin keeps it so by importing its own mathematics inside `run`, and what it draws with inside `draw`.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pluggy

from cnnexplain.errors import PluginError
from cnnexplain.options import Option, Parameter, inputs, parameters

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from cnnexplain.arrays import Array
    from cnnexplain.record import Record

__all__ = ["Analysis", "Option", "Result", "hookimpl"]

hookimpl = pluggy.HookimplMarker("cnnexplain")
"""Marks a plugin's function as the implementation of the hook that has its name (see `cnnexplain.hookspecs`)."""


@dataclass(frozen=True)
class Result:
    """What an analysis found: raw, signed, unnormalised numbers.

    Args:
        arrays: Arrays by name. For an analysis of images each has the images as its first axis.
        facts: JSON-able values by name. For an analysis of images each is a sequence with one entry per image.
    """

    arrays: Mapping[str, Array]
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Analysis:
    """A method of explanation, as a plugin declares it.

    Args:
        name: How users call it: lower-case letters, digits and hyphens.
        run: Computes the `Result`. Its ordinary parameters name what it wants of `classifier` (a `Classifier`), `images`
            ((N, H, W, C) float32 in the model's input range) and `targets` ((N,) int64, the class to explain for each
            image; naming it gives the analysis the option `target`). Its keyword-only parameters are its options, each
            annotated with `Annotated[type, Option(...)]`. The first line of its docstring is the summary that users read.
        draw: Draws image `index` of a `Record` as a Matplotlib figure; reads arrays, computes nothing.
        paper: Who defined the method, where: authors, year, arXiv number.

    Raises:
        PluginError: The declaration breaks one of these rules.
    """

    name: str
    run: Callable[..., Result]
    draw: Callable[[Record, int], Figure]
    paper: str

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", self.name):
            raise PluginError(f"The analysis name '{self.name}' must be lower-case words joined by hyphens.")
        if not callable(self.run) or not callable(self.draw):
            raise PluginError(f"'{self.name}' needs functions as run and draw, but got {self.run!r} and {self.draw!r}.")
        if not isinstance(self.paper, str) or not self.paper:
            raise PluginError(f"'{self.name}' names {self.paper!r} as its paper; expected authors, year and number.")
        if not self.summary:
            raise PluginError(f"run() of '{self.name}' has no docstring; its first line is what users read.")
        if "images" not in self.inputs:
            raise PluginError(f"run() of '{self.name}' must ask for 'images'.")
        _ = self.options

    @cached_property
    def summary(self) -> str:
        """One sentence on what it shows."""
        return (inspect.getdoc(self.run) or "").partition("\n")[0]

    @cached_property
    def options(self) -> tuple[Parameter, ...]:
        """Its own options, in the order of the signature."""
        return parameters(self.run)

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """What `run` asks the core for."""
        return inputs(self.run)
