"""Declarations of analyses by plugins."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import InitVar, dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pluggy

from cnnexplain import former_names
from cnnexplain.errors import PluginError, UsageError, failure, foreign, shown
from cnnexplain.plugin.check import Check
from cnnexplain.plugin.docstrings import docstring
from cnnexplain.plugin.options import Option, Parameter, inputs, parameters, validate
from cnnexplain.plugin.sampling import Sampling

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from cnnexplain.model.classifier import Classifier
    from cnnexplain.results.record import Record
    from cnnexplain.types import Array, Floats

__all__ = ["Analysis", "Option", "Panel", "Result", "hookimpl"]

LONGEST = 100
"""Maximum number of characters in the name of an analysis, which is also the name of a folder."""

ALL = "all"
"""The name that stands for every installed analysis."""

hookimpl = pluggy.HookimplMarker("cnnexplain")
"""Marks a function of a plugin as the implementation of the hook of the same name (see `cnnexplain.plugin.hookspecs`)."""


@dataclass(frozen=True)
class Result:
    """The result of an analysis: raw, signed, unnormalized numbers.

    Args:
        arrays: Arrays by name. For an analysis of images, the first axis of each is the images.
        facts: JSON-able values by name. For an analysis of images, each is a list with one entry per image.
        overview: For an analysis of images that also takes a `dataset`: the results that belong to no single image, with
            facts that are not lists; None if it got no data set.
        warnings: Warnings for the user, a sentence each.
    """

    arrays: Mapping[str, Array]
    facts: Mapping[str, Any] = field(default_factory=dict)
    overview: Result | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Panel:
    """A group of small maps, such as the feature maps of a layer for one image. On pages, a click enlarges a map.

    Args:
        title: The title, such as "relu2 (ReLU), 8 × 8 × 30".
        maps: (K, h, w), raw and signed, in display order.
        names: A short name for each map, such as its number.
        unit: The unit of the maps.
        values: A number to show next to the name of each map, such as its contribution; None for nothing.
        value_unit: The unit of these numbers.
        shown: Number of maps that are always visible; the others are in a section that can be opened. None for all.
        field: The receptive fields of the positions, for rows and for columns: `plain()` of an axis of a receptive field.
            With (start, step, size), position i sees `size` rows from start + i · step on, or all rows if step is 0. If the
            steps are irregular, there is a pair for each position: the first row that it sees, and the one after the last.
            None if unknown.
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
class Analysis:
    """A method of explanation, as a plugin declares it.

    Args:
        name: Its name for users: lowercase letters, digits and hyphens.
        run: Computes the `Result`. Its ordinary parameters are the inputs that it needs, see below. Its keyword-only
            parameters are its options, each annotated with `Annotated[type, Option(...)]`. The first line of its docstring
            is the summary for users.
        draw: Draws image `index` of a `Record` as a Matplotlib figure, from arrays that `run` has computed. None for an
            analysis without images.
        paper: The publication that defines the method: authors, year, arXiv number.
        overview: Draws the results that belong to no single image: `Record` ↦ figures by name. An analysis of images with
            an overview must also take a `dataset`; the record contains the first images.
        limitations: A sentence on what the pictures don't show, which is printed with them.
        how_to_read: One or two sentences on how to read the pictures: what a bright pixel, a bar or a color means.
        maps: Names of real arrays (N, H, W) with a value for each pixel of the images, and their units, or functions that
            return the unit for the options. Pages show these maps over the image, with the value under the pointer. The
            first one is the main map, which is compared with those of other analyses.
        overlay: Returns the map (H, W) to draw over image `index` of a `Record`: the main map, smoothed or enlarged. None
            uses the main map itself.
        trial: Options for a quick run, with which `cnnexplain doctor` tries the analysis on a model.
        quick: Options for `cnnexplain report` without `--full`.
        passes: Number of passes through the network per image, for the classifier and the options: a forward pass counts 1,
            a gradient 2. Reports run the analyses with the fewest passes first, and estimate the time. None if unknown.
        finding: Returns a sentence that states the result for image `index` of a `Record` with its numbers, such as "Hiding
            the square at row 3, column 7 lowers the score the most: 7.4 → 2.5.", from arrays and facts.
        panels: Returns groups of small maps of image `index` of a `Record`, such as the feature maps of each layer.
        checks: What the definition of the method implies for its numbers, for `cnnexplain verify`; `cnnexplain.checks` has
            common ones.
        sampling: How an analysis that averages over random copies states the noise of its main map.

    Inputs that `run` can take:
        classifier: The `Classifier`.
        images: (N, H, W, C) float32 in the model's input range. `run` is called for a few images at a time, and calls are
            independent.
        targets: (N,) int64, the class to explain for each image. Adds the option `target`.
        objectives: A list with the `Objective` to explain for each image. Adds the options `target` and `against`. Without
            `images`: the targets of the user, or the predictions and runners-up of the user's images, or an empty list.
        dataset: A `Stream` of images: the data set of the user, by default the MNIST test images for a digit classifier and
            all explained images otherwise. Only the first call for the same images gets it, later ones None, since its
            results belong to no single image and go into `Result.overview`. None if there are no images. Adds the option
            `dataset`.
        progress: A function to call with the amount of work done, and the total.

    `note` and `reading`, the former names of `limitations` and `how_to_read`, are still accepted.

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
    checks: Sequence[Check] = ()
    sampling: Sampling | None = None
    note: InitVar[str] = ""
    reading: InitVar[str] = ""

    def __post_init__(self, note: str, reading: str) -> None:
        for former, value in (("note", note), ("reading", reading)):
            present = former_names.FIELDS[former]
            if value and getattr(self, present):
                raise PluginError(f"'{self.name}' has both {former} and {present}, its current name; remove {former}.")
            if value:
                object.__setattr__(self, present, value)
        valid = isinstance(self.name, str) and re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", self.name)
        if not valid or len(self.name) > LONGEST:
            raise PluginError(f"The analysis name {shown(self.name)} must be lowercase words joined by hyphens.")
        if self.name == ALL:
            raise PluginError(f"No analysis can be named '{ALL}', which stands for all of them.")
        if not callable(self.run):
            raise PluginError(f"'{self.name}' needs a function as run, but got {shown(self.run)}.")
        if not isinstance(self.paper, str) or not self.paper:
            raise PluginError(f"'{self.name}' has {shown(self.paper)} as paper; expected authors, year and number.")
        for field_name in former_names.FIELDS.values():
            if not isinstance(getattr(self, field_name), str):
                raise PluginError(f"'{self.name}' has the {field_name} {shown(getattr(self, field_name))}; expected text.")
        for field_name in ("overlay", "passes", "finding", "panels"):
            if getattr(self, field_name) is not None and not callable(getattr(self, field_name)):
                raise PluginError(
                    f"'{self.name}' needs a function as {field_name}, but got {shown(getattr(self, field_name))}."
                )
        for field_name in ("maps", "trial", "quick"):
            if not isinstance(getattr(self, field_name), Mapping) or not all(
                isinstance(each, str) for each in getattr(self, field_name)
            ):
                raise PluginError(
                    f"'{self.name}' needs a dict with names as keys for {field_name}, but got "
                    f"{shown(getattr(self, field_name))}."
                )
        if not isinstance(self.checks, tuple | list) or not all(isinstance(check, Check) for check in self.checks):
            raise PluginError(f"'{self.name}' has the checks {shown(self.checks)}; expected a tuple of Check objects.")
        if self.sampling is not None and not (isinstance(self.sampling, Sampling) and self.maps):
            raise PluginError(
                f"'{self.name}' has {shown(self.sampling)} as sampling; expected a Sampling of an analysis with maps."
            )
        if not self.summary:
            raise PluginError(f"run() of '{self.name}' has no docstring; its first line is the summary for users.")
        if "images" in self.inputs and not callable(self.draw):
            raise PluginError(f"'{self.name}' takes images and needs a function as draw, but got {shown(self.draw)}.")
        if "images" in self.inputs and self.overview is not None and "dataset" not in self.inputs:
            raise PluginError(
                f"'{self.name}' takes images and has an overview, but takes no data set; "
                "results for images are drawn by draw."
            )
        if "images" not in self.inputs and (self.draw is not None or not callable(self.overview)):
            raise PluginError(
                f"'{self.name}' takes no images: it needs a function as overview and None as draw, "
                f"but got {shown(self.overview)} and {shown(self.draw)}."
            )
        if self.maps and "images" not in self.inputs:
            raise PluginError(
                f"'{self.name}' takes no images and can't have maps of images, but got {', '.join(self.maps)}."
            )
        if self.finding is not None and "images" not in self.inputs:
            raise PluginError(f"'{self.name}' takes no images and can't have a finding.")
        if self.panels is not None and "images" not in self.inputs:
            raise PluginError(f"'{self.name}' takes no images and can't have panels.")
        for field_name, options in (("trial", self.trial), ("quick", self.quick)):
            try:
                validate(self.options, options)
            except UsageError as error:
                raise PluginError(f"'{self.name}' has invalid options as {field_name}: {error}") from error

    def unit(self, name: str, options: Mapping[str, Any]) -> str:
        """The unit of one of its maps for these options."""
        unit: Any = self.maps[name]
        if callable(unit):
            function = unit
            prefix = f"The unit of the map '{name}' of '{self.name}'"
            with foreign(lambda error: PluginError(f"{prefix} can't be determined: {failure(error, function)}")):
                unit = function(options)
        return unit if isinstance(unit, str) else shown(unit)

    def main_map(self, arrays: Mapping[str, Any]) -> str | None:
        """The name of the main map among the arrays of a result: the first of its maps that is there; None if none is."""
        return next((name for name in self.maps if name in arrays), None)

    def check_control(self) -> None:
        """Checks that a control can be drawn beside its map.

        Raises:
            UsageError: It has no map of the images.
        """
        if not self.maps:
            raise UsageError(f"The analysis '{self.name}' has no map of the image, so there is no control for it.")

    @cached_property
    def summary(self) -> str:
        """The first line of the docstring of `run`."""
        return docstring(self.run).partition("\n")[0]

    @cached_property
    def options(self) -> tuple[Parameter, ...]:
        """Its own options, in the order of the signature."""
        return parameters(self.run)

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """The names of the inputs that `run` takes."""
        return inputs(self.run)
