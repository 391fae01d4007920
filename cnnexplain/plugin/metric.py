"""Declarations of metrics by plugins: scores by which `cnnexplain benchmark` compares explanation methods."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from cnnexplain.errors import PluginError, shown, suggest
from cnnexplain.plugin.docstrings import docstring
from cnnexplain.plugin.options import inputs

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float

LONGEST = 40
"""Maximum number of characters in the name of a metric or a score."""

ALL = "all"
"""What users write for all metrics."""

INPUTS = ("maps", "image", "target", "mask", "classifier", "evaluate", "explain", "random")
"""The inputs that a metric can take, as parameters of `run` in any order."""

Better: TypeAlias = Literal["higher", "lower", "neither"]
"""Which values of a score are better; "neither" if it only describes a map."""


@dataclass(frozen=True)
class Metric:
    """A metric of explanation methods, as a plugin declares it.

    Args:
        name: Its name for users: lowercase letters, digits and hyphens.
        run: Computes the scores of the maps of all methods for one image. Its parameters are the inputs that it needs, see
            below. Returns a dict with an array (M,) for each of `scores`: one number per method, NaN where the score is
            undefined. The first line of its docstring is the summary for users.
        paper: The publication that defines it: authors, year, arXiv number.
        scores: The names of its scores, in display order, each with "higher" or "lower" for the better values, or "neither".
            Methods are ranked by the first one.
        protocol: One sentence with the settings on which the scores depend: numbers of steps or samples, fills, ties.
        limitations: One sentence on what it cannot tell.
        default: Whether it is computed if the user names no metric; False for one that takes most of the time.

    Inputs that `run` can take:
        maps: (M, H, W) float64, the maps of M methods for the image, raw and signed.
        image: (H, W, C) float32, the image in the model's input range.
        target: The index of the class or value that the maps explain.
        mask: (H, W) bool, the pixels that are relevant. The metric is computed only if the user gives masks.
        classifier: The `Classifier`.
        evaluate: The outputs for perturbed images: (count, make) ↦ a dict with `logit` and `probability` of the target,
            (count,) each. `make` takes a slice of range(count) and returns these images (n, H, W, C); it is called for as
            many images as fit into memory. The probabilities of a model of values are NaN.
        explain: Computes the maps again: (images (n, H, W, C), target=None, classifier=None) ↦ (M, n, H, W), for another
            target or classifier if they are given. NaN for methods whose maps were read from files.
        random: A `numpy.random.Generator`, whose seed depends on the user's seed, the values of the image and the name of
            the metric only.

    Raises:
        PluginError: The declaration breaks one of these rules.
    """

    name: str
    run: Callable[..., Mapping[str, Float[np.ndarray, " M"]]]
    paper: str
    scores: Mapping[str, Better]
    protocol: str
    limitations: str
    default: bool = True

    def __post_init__(self) -> None:
        valid = isinstance(self.name, str) and re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", self.name)
        if not valid or len(self.name) > LONGEST:
            raise PluginError(f"The metric name {shown(self.name)} must be lowercase words joined by hyphens.")
        if self.name == ALL:
            raise PluginError(f"A metric can't be called '{ALL}', which stands for all metrics.")
        if not callable(self.run):
            raise PluginError(f"The metric '{self.name}' needs a function as run, but got {shown(self.run)}.")
        for field_name in ("paper", "protocol", "limitations"):
            text = getattr(self, field_name)
            if not isinstance(text, str) or not text.strip():
                raise PluginError(f"The metric '{self.name}' has {shown(text)} as {field_name}; expected a sentence.")
        if not isinstance(self.scores, Mapping) or not self.scores:
            raise PluginError(
                f"The metric '{self.name}' has {shown(self.scores)} as scores; expected a dict from names to "
                f"{' or '.join(map(repr, get_args(Better)))}."
            )
        for name, better in self.scores.items():
            if not isinstance(name, str) or not name.isprintable() or not 0 < len(name.strip()) <= LONGEST:
                raise PluginError(
                    f"The metric '{self.name}' has a score named {shown(name)}; expected a printable name of at most "
                    f"{LONGEST} characters."
                )
            if better not in get_args(Better):
                raise PluginError(
                    f"The metric '{self.name}' has {shown(better)} for the score '{name}'; expected "
                    f"{' or '.join(map(repr, get_args(Better)))}.{suggest(better, get_args(Better))}"
                )
        if not self.summary:
            raise PluginError(
                f"run() of the metric '{self.name}' has no docstring; its first line is the summary for users."
            )
        if "maps" not in self.inputs:
            raise PluginError(f"run() of the metric '{self.name}' takes no 'maps', which are what it evaluates.")

    @cached_property
    def summary(self) -> str:
        """The first line of the docstring of `run`."""
        return docstring(self.run).partition("\n")[0]

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """The names of the inputs that `run` takes."""
        return inputs(self.run, INPUTS, "a metric")
