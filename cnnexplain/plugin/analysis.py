"""What an analysis and a named model are, as plugins declare them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import InitVar, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pluggy

from cnnexplain import former_names
from cnnexplain.errors import PluginError, UsageError, failure, foreign, shown
from cnnexplain.model import model_files
from cnnexplain.plugin.docstrings import docstring
from cnnexplain.plugin.options import Option, Parameter, inputs, parameters, validate

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from cnnexplain.inputs.preprocess import Preprocess
    from cnnexplain.model.classifier import Classifier
    from cnnexplain.results.record import Record
    from cnnexplain.types import Array, Floats

__all__ = ["Analysis", "NamedModel", "Option", "Panel", "Pretrained", "Result", "hookimpl"]

LONGEST = 100
"""Characters of the name of an analysis or a model, at most: folders are called by it."""

ALL = "all"
"""The name that stands for every installed analysis."""

hookimpl = pluggy.HookimplMarker("cnnexplain")
"""Marks a plugin's function as the implementation of the hook that has its name (see `cnnexplain.plugin.hookspecs`)."""


@dataclass(frozen=True)
class Result:
    """What an analysis found: raw, signed, unnormalized numbers.

    Args:
        arrays: Arrays by name. For an analysis of images each has the images as its first axis.
        facts: JSON-able values by name. For an analysis of images each is a list with one entry per image.
        overview: For an analysis of images that also asks for `dataset`: what it found that belongs to none of the images,
            with facts that are no lists; None where it was given no data set.
        warnings: Warnings for the user, a sentence each.
    """

    arrays: Mapping[str, Array]
    facts: Mapping[str, Any] = field(default_factory=dict)
    overview: Result | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Panel:
    """Small maps that belong together, such as those of a layer for one image: pages enlarge one on a click.

    Args:
        title: What they are, such as "relu2 (ReLU), 8 × 8 × 30".
        maps: (K, h, w), raw and signed, in the order in which they are shown.
        names: A short name for each, such as its number.
        unit: Of the maps' values.
        values: A number to show of each beside its name, such as its contribution; None for nothing.
        value_unit: Of those numbers.
        shown: The first so many stand in the open, the others in a strip that opens; None for all.
        field: Which pixels of the image a place of the maps sees, of rows and of columns: `plain()` of an axis of a
            receptive field. With (start, step, size) row i sees `size` rows from start + i · step on, or all of them where
            step is 0. Where there are no regular steps, each row has a pair: the first that it sees, and the one after the
            last. None where that isn't known.
    """

    title: str
    maps: Floats
    names: Sequence[str]
    unit: str
    values: Sequence[float] | None = None
    value_unit: str = ""
    shown: int | None = None
    field: Sequence[Sequence[Any]] | None = None


@dataclass(frozen=True)
class Pretrained:
    """A model that a plugin has loaded, with what a user of it must know.

    Args:
        model: A Keras model, as `cnnexplain.load` takes it.
        preprocess: What it expects of its input.
        labels: The names of its K classes.
        sha256: Of the file that the weights came from; None where it isn't known, for that of the weights themselves.
    """

    model: Any
    preprocess: Preprocess
    labels: Sequence[str]
    sha256: str | None = None


@dataclass(frozen=True)
class NamedModel:
    """A model that users ask for by name.

    Args:
        name: As it is given to `--model` and `cnnexplain.load`: letters, digits and ".:_-". Those before a ":" are what
            several models have in common, which are listed together.
        summary: What it is and where its weights come from, a sentence.
        load: Builds it, given the file of weights that the user named, or None for its own.

    Raises:
        PluginError: The declaration breaks one of these rules.
    """

    name: str
    summary: str
    load: Callable[[Path | None], Pretrained]

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not re.fullmatch(rf"[A-Za-z0-9][A-Za-z0-9.:_-]{{,{LONGEST}}}", self.name):
            raise PluginError(f"The model name {shown(self.name)} must be of letters, digits and '.:_-'.")
        if model_files.is_file(self.name) or self.name == model_files.INCLUDED:
            raise PluginError(f"No model can be named '{self.name}', which is a file or the model that is included.")
        if not isinstance(self.summary, str) or not self.summary:
            raise PluginError(f"The model '{self.name}' has the summary {shown(self.summary)}; expected a sentence.")
        if not callable(self.load):
            raise PluginError(f"The model '{self.name}' needs a function as load, but got {shown(self.load)}.")


@dataclass(frozen=True)
class Analysis:
    """A method of explanation, as a plugin declares it.

    Args:
        name: How users call it: lower-case letters, digits and hyphens.
        run: Computes the `Result`. Its ordinary parameters name what it wants of the inputs below. Its keyword-only
            parameters are its options, each annotated with `Annotated[type, Option(...)]`. The first line of its docstring
            is the summary that users read.
        draw: Draws image `index` of a `Record` as a Matplotlib figure; reads arrays, computes nothing. None for an analysis
            that asks for no images.
        paper: Who defined the method, where: authors, year, arXiv number.
        overview: Draws what belongs to no single image: `Record` ↦ figures by name. An analysis of images that has one asks
            for `dataset` too; its record is that of the first images.
        limitations: A sentence on what the pictures don't show, which users read beside them.
        how_to_read: A sentence or two on how to read the pictures: what a bright pixel, a bar or a color stands for.
        maps: Real arrays (N, H, W), a value for each pixel of the images, and the values' unit, or a function that gives it
            for the options: pages show them over the image, and tell the value under the pointer. The first one is the main
            one, which stands beside those of other analyses.
        overlay: Gives for image `index` of a `Record` what is laid over it, (H, W): the main map, smoothed or enlarged for
            the eye. None where that is the main map itself.
        trial: Options with which `cnnexplain doctor` quickly tries whether it works on a model.
        quick: Options with which `cnnexplain report` runs it, unless with `--full`.
        passes: How many passes through the network one image takes, for the classifier and the options: a forward pass
            counts 1, a gradient 2. Reports run what takes few first, and estimate the time. None where it isn't known.
        finding: One sentence that states what was found for image `index` of a `Record`, with its numbers, such as "Hiding
            the square at row 3, column 7 lowers the score the most: 7.4 → 2.5."; reads arrays and facts, computes nothing.

    What `run` can ask for:
        classifier: The `Classifier`.
        images: (N, H, W, C) float32 in the model's input range. Many images come a few at a time, in calls that know nothing
            of each other.
        targets: (N,) int64, the class to explain for each image. Naming it gives the analysis the option `target`.
        objectives: The `Objective` to explain for each image, a list. Naming it gives the options `target` and `against`.
            Without `images`: those that the user asks for; else the classes that the model sees in the images that the user
            gives, the first and the second of each; else an empty list.
        dataset: A `Stream` of images; where none is named, of MNIST's test digits for a model of digits, else of all the
            images that are explained. None where there are none of these, and in every call but the first for the same
            images, since what is found there belongs to none of them: it goes into `Result.overview`. Naming it gives the
            option `dataset`.
        progress: A function to be called with how much of the work is done, and of how much.

    `note` and `reading` are the former names of `limitations` and `how_to_read`, and still accepted.

    Raises:
        PluginError: The declaration breaks one of these rules.
    """

    name: str
    run: Callable[..., Result]
    draw: Callable[[Record, int], Figure] | None
    paper: str
    overview: Callable[[Record], Mapping[str, Figure]] | None = None
    limitations: str = ""
    how_to_read: str = ""
    maps: Mapping[str, str | Callable[[Mapping[str, Any]], str]] = field(default_factory=dict)
    overlay: Callable[[Record, int], Array] | None = None
    trial: Mapping[str, Any] = field(default_factory=dict)
    quick: Mapping[str, Any] = field(default_factory=dict)
    passes: Callable[[Classifier, Mapping[str, Any]], float] | None = None
    finding: Callable[[Record, int], str] | None = None
    panels: Callable[[Record, int], Sequence[Panel]] | None = None
    note: InitVar[str] = ""
    reading: InitVar[str] = ""

    def __post_init__(self, note: str, reading: str) -> None:
        for former, value in (("note", note), ("reading", reading)):
            present = former_names.FIELDS[former]
            if value and getattr(self, present):
                raise PluginError(f"'{self.name}' has both {former} and {present}, its present name; leave out {former}.")
            if value:
                object.__setattr__(self, present, value)
        words = isinstance(self.name, str) and re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", self.name)
        if not words or len(self.name) > LONGEST:
            raise PluginError(f"The analysis name {shown(self.name)} must be lower-case words joined by hyphens.")
        if self.name == ALL:
            raise PluginError(f"No analysis can be named '{ALL}', which stands for all of them.")
        if not callable(self.run):
            raise PluginError(f"'{self.name}' needs a function as run, but got {shown(self.run)}.")
        if not isinstance(self.paper, str) or not self.paper:
            raise PluginError(f"'{self.name}' names {shown(self.paper)} as its paper; expected authors, year and number.")
        for what in former_names.FIELDS.values():
            if not isinstance(getattr(self, what), str):
                raise PluginError(f"'{self.name}' has the {what} {shown(getattr(self, what))}; expected text.")
        for what in ("overlay", "passes", "finding", "panels"):
            if getattr(self, what) is not None and not callable(getattr(self, what)):
                raise PluginError(f"'{self.name}' needs a function as {what}, but got {shown(getattr(self, what))}.")
        for what in ("maps", "trial", "quick"):
            if not isinstance(getattr(self, what), Mapping) or not all(
                isinstance(each, str) for each in getattr(self, what)
            ):
                raise PluginError(f"'{self.name}' needs names in a dict as {what}, but got {shown(getattr(self, what))}.")
        if not self.summary:
            raise PluginError(f"run() of '{self.name}' has no docstring; its first line is what users read.")
        if "images" in self.inputs and not callable(self.draw):
            raise PluginError(f"'{self.name}' asks for images and needs a function as draw, but got {shown(self.draw)}.")
        if "images" in self.inputs and self.overview is not None and "dataset" not in self.inputs:
            raise PluginError(
                f"'{self.name}' asks for images and offers an overview, but asks for no data set; "
                "what is found for the images is drawn image by image."
            )
        if "images" not in self.inputs and (self.draw is not None or not callable(self.overview)):
            raise PluginError(
                f"'{self.name}' asks for no images: it needs a function as overview and None as draw, "
                f"but got {shown(self.overview)} and {shown(self.draw)}."
            )
        if self.maps and "images" not in self.inputs:
            raise PluginError(
                f"'{self.name}' asks for no images and can have no maps of them, but names {', '.join(self.maps)}."
            )
        if self.finding is not None and "images" not in self.inputs:
            raise PluginError(f"'{self.name}' asks for no images and can state no finding for one.")
        if self.panels is not None and "images" not in self.inputs:
            raise PluginError(f"'{self.name}' asks for no images and can have no panels of one.")
        for what, options in (("tried", self.trial), ("run in reports", self.quick)):
            try:
                validate(self.options, options)
            except UsageError as error:
                raise PluginError(f"'{self.name}' is to be {what} with options that it doesn't take: {error}") from error

    def unit(self, name: str, options: Mapping[str, Any]) -> str:
        """The unit of one of its maps, as found with these options."""
        unit: Any = self.maps[name]
        if callable(unit):
            function = unit
            say = f"The unit of the map '{name}' of '{self.name}'"
            with foreign(lambda error: PluginError(f"{say} can't be determined: {failure(error, function)}")):
                unit = function(options)
        return unit if isinstance(unit, str) else shown(unit)

    @cached_property
    def summary(self) -> str:
        """One sentence on what it shows."""
        return docstring(self.run).partition("\n")[0]

    @cached_property
    def options(self) -> tuple[Parameter, ...]:
        """Its own options, in the order of the signature."""
        return parameters(self.run)

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """What `run` asks the core for."""
        return inputs(self.run)
