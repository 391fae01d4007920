"""An analysis under test, with the results and outcomes that several checks share."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from cnnexplain.errors import CnnExplainError, PluginError, foreign, reason
from cnnexplain.plugin import registry
from cnnexplain.plugin.analysis import Analysis
from cnnexplain.testing import comparison, processes
from cnnexplain.testing.check import Check
from cnnexplain.testing.contract_checks import CHECKS, checks

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float32, Shaped, UInt8

    from cnnexplain.model.classifier import Classifier
    from cnnexplain.results.record import Record

TOLERANCE = 1e-4
"""Relative tolerance for results that should be equal, since sums over a batch are computed in another order.

For an array it is relative to the largest magnitude; for a fact, to its own magnitude, or to 1 if that is smaller.
"""


class Candidate:
    """An analysis under test. What several checks need is computed once.

    Args:
        analysis: An installed analysis.
        tolerance: See `TOLERANCE`. An analysis that optimizes in many steps, each of which amplifies rounding errors, may
            need a larger one.
        together: The names of the analyses that are checked together, so that each backend is started only once.
    """

    def __init__(self, analysis: Analysis, *, tolerance: float = TOLERANCE, together: Sequence[str] = ()) -> None:
        self.analysis = analysis
        self.tolerance = tolerance
        self.together = tuple(together) or (analysis.name,)
        self._outcomes: dict[str, Outcome] = {}

    @cached_property
    def lenet(self) -> Classifier:
        """The LeNet."""
        from cnnexplain.loading import loader

        return loader.load()

    @cached_property
    def images(self) -> Float32[np.ndarray, "3 28 28 1"]:
        """Digits with noise, (3, 28, 28, 1)."""
        from cnnexplain.testing import sample_models

        return sample_models.images(self.lenet, 3)

    @cached_property
    def record(self) -> Record:
        """The result for the LeNet and `images`."""
        return self.explain(self.lenet, self.images)

    @cached_property
    def figures(self) -> dict[object, UInt8[np.ndarray, "_ _ 4"]]:
        """The pixels of all figures of `record`, by the index of the image or the name of the figure."""
        return comparison.figures(self.record)

    @cached_property
    def trials(self) -> dict[str, Trial]:
        """The outcomes for the sample models, by their names."""
        from cnnexplain.testing import sample_models

        return {name: self._try(sample_models.classifier(name)) for name in sample_models.MODELS}

    @cached_property
    def declaration(self) -> dict[str, Any]:
        """What `worker.declaration` prints in a new process: the imports and the help of the analysis."""
        _, plugin = registry.load().get(self.analysis.name)
        done = processes.run_worker("declaration", plugin.name, self.analysis.name, COLUMNS="600")
        if done.returncode:
            raise PluginError(f"It can't be declared in a new process: {processes.last_line(done.stderr)}")
        printed: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return printed

    def explain(
        self,
        classifier: Classifier,
        images: Float32[np.ndarray, "N H W C"],
        *,
        start: int = 0,
        target: int | None = None,
        options: Mapping[str, object] = MappingProxyType({}),
    ) -> Record:
        """Runs the analysis on copies of images, which also serve as its data set.

        Args:
            classifier: The model.
            images: (N, H, W, C) in the model's input range.
            start: Index of the first image to explain. Above 0, the analysis gets no data set.
            target: The class to explain.
            options: Options that replace those in `Analysis.trial`.

        Raises:
            CnnExplainError: As for `cnnexplain.explain`.
        """
        from cnnexplain.pipeline.explain import explain_parts

        arguments: dict[str, Any] = {**self.analysis.trial, **options, "target": target}
        if "dataset" in self.analysis.inputs:
            arguments["dataset"] = images.copy()
        explained = images.copy() if "images" in self.analysis.inputs else None
        return next(explain_parts(self.analysis.name, classifier, explained, start=start, **arguments))

    def trial_arrays(self) -> dict[str, Shaped[np.ndarray, " ..."]]:
        """The arrays for the sample models, by "model/array".

        Raises:
            CnnExplainError: The analysis failed for one of the models.
        """
        arrays: dict[str, Shaped[np.ndarray, " ..."]] = {}
        for name, trial in self.trials.items():
            if isinstance(trial.record, CnnExplainError):
                raise trial.record
            arrays |= {f"{name}/{array}": values for array, values in trial.record.arrays.items()}
        return arrays

    def outcome(self, name: str) -> Outcome:
        """The outcome of one of `CHECKS`. Each check is run once, after the checks that it needs."""
        if name not in self._outcomes:
            self._outcomes[name] = self._run_check(next(check for check in CHECKS if check.name == name))
        return self._outcomes[name]

    def _run_check(self, check: Check) -> Outcome:
        applicable = [each.name for each in checks(self.analysis)]
        for need in check.needs:
            if need in applicable and not self.outcome(need).passed:
                return Outcome(check, None, f"skipped, because '{need}' did not pass")
        try:
            with foreign(lambda error: PluginError(f"The check could not be completed: {reason(error)}")):
                check.run(self)
        except CnnExplainError as error:
            return Outcome(check, False, str(error))
        return Outcome(check, True)

    def _try(self, classifier: Classifier) -> Trial:
        from cnnexplain.testing import sample_models

        images = sample_models.images(classifier, 2)
        before = _model_state(classifier, images)
        record: Record | CnnExplainError
        try:
            record = self.explain(classifier, images)
        except CnnExplainError as error:
            record = error
        after = _model_state(classifier, images)
        return Trial(record, tuple(name for name in before if not comparison.identical(after.get(name), before[name])))


@dataclass(frozen=True)
class Trial:
    """The outcome of an analysis on a sample model.

    Args:
        record: The result, or the error.
        changes: The parts of the model that the analysis changed, in words.
    """

    record: Record | CnnExplainError
    changes: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """The outcome of a check.

    Args:
        check: The check.
        passed: Whether it passed; None if it was skipped.
        message: What was found and expected, or why the check was skipped; empty if it passed.
    """

    check: Check
    passed: bool | None
    message: str = ""

    @property
    def words(self) -> str:
        """The former name of `message`."""
        return self.message


def _model_state(classifier: Classifier, images: Float32[np.ndarray, "N H W C"]) -> dict[str, Any]:
    """Everything in a model that an analysis could change."""
    import keras

    model = classifier.model
    weights = {f"the weight {weight.path}": keras.ops.convert_to_numpy(weight).copy() for weight in model.weights}
    return {
        **weights,
        "its configuration": model.to_json(),
        "which layers are trainable": [layer.trainable for layer in model.layers],
        "its output": keras.ops.convert_to_numpy(model(images, training=False)),
    }
