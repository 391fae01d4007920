"""The conformance kit: runs the checks on an analysis, from pytest or the command line."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from cnnexplain.errors import CnnExplainError, PluginError, UsageError, foreign, reason, suggest
from cnnexplain.plugin import registry
from cnnexplain.plugin.analysis import Analysis
from cnnexplain.testing import comparison, processes
from cnnexplain.testing.contract_checks import CHECKS, HEAVY, Check

if TYPE_CHECKING:
    from cnnexplain.model.classifier import Classifier
    from cnnexplain.results.record import Record
    from cnnexplain.types import Array, Floats

__all__ = ["CHECKS", "TOLERANCE", "Candidate", "Check", "Outcome", "checks", "conformance", "find"]

TOLERANCE = 1e-4
"""By how much of an array's largest magnitude its values may differ where they should be the same, since a batch is summed
up in another order than a single image; of a fact by how much of its own, or of 1 where it is smaller."""

DECLARING = """
import contextlib, io, json, sys
from importlib.metadata import entry_points
from cnnexplain.testing import comparison
from cnnexplain.testing import processes
from cnnexplain.plugin import registry
from cnnexplain.testing.contract_checks import CHECKS, HEAVY, Check
found = registry.collect(entry_points(group="cnnexplain", name=sys.argv[1]))
if sys.argv[2] not in found.analyses:
    raise SystemExit(" ".join(map(str, found.problems)) or f"'{sys.argv[1]}' does not offer it there")
heavy = [name for name in json.loads(sys.argv[3]) if name in sys.modules]
from cnnexplain.cli import app
printed = io.StringIO()
with contextlib.redirect_stdout(printed):
    code = app.main(["run", sys.argv[2], "--help"])
print(json.dumps({"heavy": heavy, "help": printed.getvalue(), "code": code}))
"""


class Candidate:
    """An analysis that is put to the checks, with what was found for it so far.

    Args:
        analysis: An installed one.
        tolerance: As `TOLERANCE`; a larger one suits what is optimized in many steps, each of which amplifies rounding.
        together: The names of the analyses that are checked with it, so that each backend is started once for all of them.
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
    def images(self) -> Floats:
        """(3, 28, 28, 1): digits in noise."""
        from cnnexplain.testing import sample_models

        return sample_models.pictures(self.lenet, 3)

    @cached_property
    def record(self) -> Record:
        """What it finds for the LeNet and the images."""
        return self.explain(self.lenet, self.images)

    @cached_property
    def figures(self) -> dict[object, Array]:
        """The pixels of all that it draws of `record`, by the image's number or the name."""
        return comparison.figures(self.record)

    @cached_property
    def made(self) -> dict[str, Trial]:
        """What comes of it on each of the models made for the checks."""
        from cnnexplain.testing import sample_models

        return {name: self._tried(sample_models.made(name)) for name in sample_models.MADE}

    @cached_property
    def declared(self) -> dict[str, Any]:
        """What a new process says of its declaration and its help."""
        _, plugin = registry.load().get(self.analysis.name)
        done = processes.run(DECLARING, plugin.name, self.analysis.name, json.dumps(HEAVY), COLUMNS="600")
        if done.returncode:
            raise PluginError(f"It can't be declared in a process of its own: {processes.last(done.stderr)}")
        said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return said

    def explain(
        self,
        classifier: Classifier,
        images: Floats,
        *,
        start: int = 0,
        target: int | None = None,
        options: Mapping[str, object] = MappingProxyType({}),
    ) -> Record:
        """Runs it on copies of the images from that place on, which are its data set too; it gets none for a start above 0.

        Args:
            classifier: The model.
            images: (N, H, W, C) in the model's input range.
            start: The place of the first image to explain.
            target: The class to explain.
            options: Its own, over those of `Analysis.trial`.

        Raises:
            CnnExplainError: As `cnnexplain.explain` does.
        """
        from cnnexplain.pipeline.explain import explain_parts

        given: dict[str, Any] = {**self.analysis.trial, **options, "target": target}
        if "dataset" in self.analysis.inputs:
            given["dataset"] = images.copy()
        shown = images.copy() if "images" in self.analysis.inputs else None
        return next(explain_parts(self.analysis.name, classifier, shown, start=start, **given))

    def made_arrays(self) -> dict[str, Array]:
        """The arrays found for those models, by "model/array".

        Raises:
            CnnExplainError: It failed for one of them.
        """
        arrays: dict[str, Array] = {}
        for name, trial in self.made.items():
            if isinstance(trial.record, CnnExplainError):
                raise trial.record
            arrays |= {f"{name}/{array}": values for array, values in trial.record.arrays.items()}
        return arrays

    def _tried(self, classifier: Classifier) -> Trial:
        from cnnexplain.testing import sample_models

        images = sample_models.pictures(classifier, 2)
        before = _state(classifier, images)
        record: Record | CnnExplainError
        try:
            record = self.explain(classifier, images)
        except CnnExplainError as error:
            record = error
        after = _state(classifier, images)
        return Trial(record, tuple(name for name in before if not comparison.identical(after.get(name), before[name])))

    def outcome(self, name: str) -> Outcome:
        """What comes of one of `CHECKS`; each is made once, after those that it needs."""
        if name not in self._outcomes:
            self._outcomes[name] = self._made(next(check for check in CHECKS if check.name == name))
        return self._outcomes[name]

    def _made(self, check: Check) -> Outcome:
        applying = [each.name for each in checks(self.analysis)]
        for need in check.needs:
            if need in applying and not self.outcome(need).passed:
                return Outcome(check, None, f"not made, since '{need}' did not pass")
        try:
            with foreign(lambda error: PluginError(f"The check can't be made: {reason(error)}")):
                check.run(self)
        except CnnExplainError as error:
            return Outcome(check, False, str(error))
        return Outcome(check, True)


@dataclass(frozen=True)
class Trial:
    """What came of an analysis on a model made for the checks.

    Args:
        record: What it found, or why it did not.
        changed: What of the model was another after it than before.
    """

    record: Record | CnnExplainError
    changed: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """What came of a check.

    Args:
        check: Which.
        passed: Whether it passed; None where it was not made.
        words: What was found, or why it was not made; empty where it passed.
    """

    check: Check
    passed: bool | None
    words: str = ""


def find(name: str) -> list[Analysis]:
    """The analysis of that name, or all those of the entry point or the distribution of that name.

    Raises:
        UsageError: There is none, or the plugin offers no analysis.
        PluginError: The plugin is broken, or another one claims the name too.
    """
    found = registry.load()
    analyses = found.analyses
    for problem in found.broken:
        if any(name in (plugin.name, plugin.distribution) for plugin in problem.plugins):
            raise PluginError(str(problem))
    if name in analyses or name in analyses.clashes:
        return [found.get(name)[0]]
    supplied = [analyses[each] for each, plugin in analyses.suppliers.items() if name in (plugin.name, plugin.distribution)]
    if supplied:
        return supplied
    if any(name in (plugin.name, plugin.distribution) for plugin in found.models.suppliers.values()):
        raise UsageError(f"The plugin '{name}' offers models and no analysis; there is nothing to check.")
    known = [*analyses, *(plugin.distribution for plugin in analyses.suppliers.values())]
    raise UsageError(
        f"No analysis, plugin or distribution is installed as '{name}'.{suggest(name, known)} Install it first "
        f"(pip install -e FOLDER); 'cnnexplain list' shows the installed analyses."
    )


def checks(analysis: Analysis) -> tuple[Check, ...]:
    """The checks that are about an analysis."""
    return tuple(check for check in CHECKS if check.applies(analysis))


def conformance(name: str, *, tolerance: float = TOLERANCE, skip: Sequence[str] = ()) -> Callable[[str], None]:
    """A test for pytest, with a case for each check.

    Args:
        name: The installed analysis, as users call it.
        tolerance: As `Candidate` takes it.
        skip: Checks to leave out, such as "backends", which starts every backend that is installed.

    Returns:
        The function, to be given a name that begins with "test".

    Raises:
        UsageError: It is not installed, or there is no such check.
        PluginError: It is broken.
    """
    import pytest

    analysis, _ = registry.load().get(name)
    candidate = Candidate(analysis, tolerance=tolerance)
    for each in skip:
        if each not in [check.name for check in CHECKS]:
            raise UsageError(f"There is no check '{each}'.{suggest(each, [check.name for check in CHECKS])}")

    @pytest.mark.parametrize("check", [check.name for check in checks(analysis) if check.name not in skip])
    def test(check: str) -> None:
        __tracebackhide__ = True
        outcome = candidate.outcome(check)
        if outcome.passed is None:
            pytest.skip(outcome.words)
        if not outcome.passed:
            pytest.fail(f"{name}, {check}: {outcome.words}", pytrace=False)

    return test


def _state(classifier: Classifier, images: Floats) -> dict[str, Any]:
    """All of a model that an analysis could change."""
    import keras

    model = classifier.model
    weights = {f"the weight {weight.path}": keras.ops.convert_to_numpy(weight).copy() for weight in model.weights}
    return {
        **weights,
        "its configuration": model.to_json(),
        "what of it is trainable": [layer.trainable for layer in model.layers],
        "its output": keras.ops.convert_to_numpy(model(images, training=False)),
    }
