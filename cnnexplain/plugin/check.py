"""Checks of results: what the definition of a method implies for its numbers, measured by an independent method."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, SupportsFloat

from cnnexplain.errors import PluginError, shown

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float32, Shaped

    from cnnexplain.model.classifier import Classifier
    from cnnexplain.model.computation.objectives import Objective
    from cnnexplain.results.record import Record

LONGEST = 60
"""Maximum number of characters in the name of a check."""


@dataclass(frozen=True)
class Measurement:
    """What a check has measured for one image.

    Args:
        value: The measured number, such as a relative error, which should be small; None if the check is not applicable.
        limit: The largest value that passes; None if the value only informs.
        detail: A phrase with what was measured, such as "16 directions, 3 dropped", or why the check is not applicable.

    Raises:
        PluginError: The value or the limit is not a number, or the detail not text.
    """

    value: float | None
    limit: float | None = None
    detail: str = ""

    def __post_init__(self) -> None:
        # Numbers of NumPy would make verdicts that JSON does not know.
        for name in ("value", "limit"):
            object.__setattr__(self, name, _number(name, getattr(self, name)))
        if not isinstance(self.detail, str):
            raise PluginError(f"A measurement has the detail {shown(self.detail)}; expected text.")

    @property
    def passed(self) -> bool | None:
        """Whether the value is at most the limit; None if there is no value or no limit. NaN does not pass."""
        return None if self.value is None or self.limit is None else self.value <= self.limit

    @property
    def excess(self) -> float:
        """The value as a share of its limit, by which the measurements of several images are ordered; −1 without a limit.

        Infinite for a value that is not a number, and for any value above a limit of 0.
        """
        if self.value is None or self.limit is None:
            return -1.0
        if self.value != self.value:
            return float("inf")
        return self.value / self.limit if self.limit else (float("inf") if self.value > 0 else 0.0)


def _number(name: str, given: object) -> float | None:
    """A number as a float."""
    if given is None:
        return None
    try:
        # Text is not a number, even if it could be read as one.
        if isinstance(given, SupportsFloat):
            return float(given)
    # An array of several numbers, or a plugin's own class.
    except (TypeError, ValueError, OverflowError):
        pass
    raise PluginError(f"A measurement has the {name} {shown(given)}; expected a number or None.")


@dataclass(frozen=True)
class Check:
    """A check of the results of an analysis, for `Analysis.checks`.

    Args:
        name: One or a few words, such as "gradient".
        meaning: A sentence: what is compared with what, and what it means if it passes.
        run: Measures the result for the image of a `Subject`. It must compute the numbers by an independent method.

    Raises:
        PluginError: The name or the meaning is not text, or `run` not a function.
    """

    name: str
    meaning: str
    run: Callable[[Subject], Measurement]

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not 0 < len(self.name) <= LONGEST or not self.name.isprintable():
            raise PluginError(f"A check has the name {shown(self.name)}; expected up to {LONGEST} printable characters.")
        if not isinstance(self.meaning, str) or not self.meaning:
            raise PluginError(f"The check '{self.name}' has the meaning {shown(self.meaning)}; expected text.")
        if not callable(self.run):
            raise PluginError(f"The check '{self.name}' needs a function as run, but got {shown(self.run)}.")


@dataclass(frozen=True, eq=False)
class Subject:
    """What a check verifies: the result of an analysis for one image, and all that is needed to compute it again.

    Args:
        record: The record. For an analysis of the model itself it has no images.
        index: The index of the image in the record; 0 for an analysis of the model itself.
        classifier: The model.
        objective: What is explained for the image; None if the analysis explains no target.
        random: Draws random numbers, the same at every verification.
        rerun: The function behind `explain`.
        budget: What a check may cost, as a number of layer outputs; see `cnnexplain.checks.affordable`.
    """

    record: Record
    index: int
    classifier: Classifier
    objective: Objective | None
    random: np.random.Generator
    rerun: Callable[..., Record]
    budget: float = math.inf
    _second: list[Record] = field(default_factory=list, repr=False)

    @property
    def image(self) -> Float32[np.ndarray, "1 H W C"]:
        """The image, (1, H, W, C) in the model's input range."""
        return self.record.images[self.index : self.index + 1]

    @property
    def options(self) -> Mapping[str, Any]:
        """The options of the analysis, with their values."""
        return self.record.options

    def array(self, name: str) -> Shaped[np.ndarray, " ..."]:
        """An array of the result, for this image."""
        values: Shaped[np.ndarray, " ..."] = self.record.arrays[name][self.index]
        return values

    def fact(self, name: str) -> Any:
        """A fact of the result, for this image."""
        return self.record.facts[name][self.index]

    def explain(
        self,
        images: Float32[np.ndarray, "N H W C"] | None = None,
        *,
        classifier: Classifier | None = None,
        target: int | Objective | None = None,
        **options: Any,
    ) -> Record:
        """Runs the analysis again, with the same target and options, except for what is given here.

        A run for which nothing else is given is made once, for all checks of the result.

        Args:
            images: Other images in the model's input range; None for the same image.
            classifier: Another model with the same labels; None for the same.
            target: Another target, by index or as an objective; None for the same.
            **options: Options that replace those of the record.
        """
        if images is None and classifier is None and target is None and not options:
            if not self._second:
                self._second.append(self.rerun(self.record, self.image, self.classifier, self.objective, {}))
            return self._second[0]
        explained = self.objective if target is None else target
        images = self.image if images is None else images
        return self.rerun(self.record, images, classifier or self.classifier, explained, options)
