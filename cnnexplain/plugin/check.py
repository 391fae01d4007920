"""Checks of results: what the definition of a method implies for its numbers, measured by another road."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float32, Shaped

    from cnnexplain.model.classifier import Classifier
    from cnnexplain.model.computation.objectives import Objective
    from cnnexplain.results.record import Record


@dataclass(frozen=True)
class Measurement:
    """What a check has measured for one image.

    Args:
        value: The measured number, such as a relative error, which should be small; None if the check is not applicable.
        limit: The largest value that passes; None if the value only informs.
        detail: A phrase with what was measured, such as "16 directions, 3 dropped", or why the check is not applicable.
    """

    value: float | None
    limit: float | None = None
    detail: str = ""

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


@dataclass(frozen=True)
class Check:
    """A check of the results of an analysis, for `Analysis.checks`.

    Args:
        name: One or a few words, such as "gradient".
        meaning: A sentence: what is compared with what, and what it means if it passes.
        run: Measures the result for the image of a `Subject`. It must compute the numbers by another road than the analysis.
    """

    name: str
    meaning: str
    run: Callable[[Subject], Measurement]


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
    """

    record: Record
    index: int
    classifier: Classifier
    objective: Objective | None
    random: np.random.Generator
    rerun: Callable[..., Record]

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

        Args:
            images: Other images in the model's input range; None for the same image.
            classifier: Another model with the same labels; None for the same.
            target: Another target, by index or as an objective; None for the same.
            **options: Options that replace those of the record.
        """
        explained = self.objective if target is None else target
        images = self.image if images is None else images
        return self.rerun(self.record, images, classifier or self.classifier, explained, options)
