"""`cnnexplain.verify`: runs the checks of an analysis on its result."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from cnnexplain.checks import costs
from cnnexplain.errors import CnnExplainError, PluginError, UsageError, failure, foreign
from cnnexplain.inputs.images import as_batch
from cnnexplain.loading import loader
from cnnexplain.model.classifier import Classifier
from cnnexplain.pipeline.targets import Class, Target
from cnnexplain.plugin import registry
from cnnexplain.plugin.check import Check, Measurement, Subject
from cnnexplain.results import fingerprint
from cnnexplain.results.record import Record
from cnnexplain.results.verification import Row, Verification
from cnnexplain.verification import randomization, second_opinions, stability
from cnnexplain.verification.subjects import SEED, image_objectives, run, subjects


def verify(
    result: str | Record,
    classifier: Classifier | None = None,
    images: object = None,
    *,
    target: Target | Sequence[Target] | None = None,
    against: Class | Sequence[Class] | None = None,
    dataset: object = None,
    thorough: bool = False,
    progress: Callable[[int, int], None] = lambda *_: None,
    **options: object,
) -> Verification:
    """Tests whether a result is what the definition of its method says, is stable, and explains this network.

    Args:
        result: A record, or the name of an analysis, which is run first.
        classifier: The model of the record; None loads the model that the record names, or the included LeNet.
        images: For the name of an analysis: the images, as for `cnnexplain.explain`.
        target: As for `cnnexplain.explain`. For a record, needed only if it explains an objective other than a class or the
            difference of two.
        against: As for `cnnexplain.explain`.
        dataset: As for `cnnexplain.explain`; None uses the images, to save time.
        thorough: Whether to run the checks that take minutes, too.
        progress: Called with the number of completed checks of an image, and of all checks of all images.
        **options: Options of the analysis, if its name is given.

    Returns:
        The checks with their measured values, limits and verdicts.

    Raises:
        UsageError: As for `cnnexplain.explain`, or the record was made with another model.
        CnnExplainError: As for `cnnexplain.explain`.
    """
    started = time.perf_counter()
    if isinstance(result, Record):
        if images is not None or options or dataset is not None:
            raise UsageError(
                "A record has its own images, data set and options; pass the name of an analysis to choose them."
            )
        classifier = classifier or named_model(result)
        record = result
        check_model(record, classifier)
    else:
        classifier = classifier or loader.load()
        record = _explained(result, classifier, images, target, against, dataset, options)
    objectives = image_objectives(record, classifier, target, against)
    rows = check_rows(subjects(record, classifier, objectives), math.inf if thorough else costs.BUDGET, progress)
    sources = tuple(explained.source.name for explained in record.explained)
    model = {"name": classifier.name, "sha256": classifier.sha256}
    seconds = time.perf_counter() - started
    return Verification(record.analysis.name, model, sources, rows, seconds, fingerprint.of_record(record))


def check_rows(
    found: Sequence[Subject], budget: float, progress: Callable[[int, int], None] = lambda *_: None
) -> tuple[Row, ...]:
    """Makes all checks of the subjects of a record.

    Args:
        found: The subjects.
        budget: What a check may cost; see `costs.BUDGET`.
        progress: Called with the number of completed checks of an image, and of all checks of all images.
    """
    rows = [Row(kind, check, ()) for kind, check in all_checks(found)]
    total = len(rows) * len(found)
    for number, subject in enumerate(found):
        # Not shared with `found`, so that the second run of an image is freed before that of the next one.
        own = replace(subject, budget=budget, _second=[])
        for place, row in enumerate(rows):
            progress(number * len(rows) + place, total)
            if not row.error:
                made = check_row(row.kind, row.check, [own])
                rows[place] = replace(row, measurements=(*row.measurements, *made.measurements), error=made.error)
    progress(total, total)
    return tuple(rows)


def all_checks(found: Sequence[Subject]) -> list[tuple[str, Check]]:
    """The checks of the analysis of some subjects, and those that every analysis must pass, each with its kind."""
    own = found[0].record.analysis.checks if found else ()
    return [
        *(("definition", check) for check in own),
        *(("second opinion", check) for check in (second_opinions.checks(found[0].record.analysis.name) if found else ())),
        *(("stability", check) for check in stability.checks()),
        *(("network", check) for check in randomization.checks()),
    ]


def check_row(kind: str, check: Check, found: Sequence[Subject]) -> Row:
    """Makes a check of the subjects of a record; an error ends it, and is kept in the row."""
    measurements: list[Measurement] = []
    for subject in found:
        # Each check draws its own random numbers, so that it measures the same whatever was checked before.
        own = replace(subject, random=np.random.default_rng([SEED, subject.index]))
        try:
            with foreign(lambda error: PluginError(f"The check can't be completed: {failure(error, check.run)}")):
                measurement = check.run(own)
                if not isinstance(measurement, Measurement):
                    raise PluginError(f"The check returned a {type(measurement).__name__}; expected a Measurement.")
        except CnnExplainError as error:
            return Row(kind, check, tuple(measurements), str(error))
        measurements.append(measurement)
    return Row(kind, check, tuple(measurements))


def check_model(record: Record, classifier: Classifier) -> None:
    """Checks that a record was made with a model.

    Raises:
        UsageError: It was made with another one.
    """
    model = record.provenance.get("model", {})
    recorded = model.get("sha256")
    if recorded is not None and recorded != classifier.sha256:
        raise UsageError(
            f"The result was made with the model '{model.get('name')}' (sha256 {str(recorded)[:12]}…), not with "
            f"'{classifier.name}' (sha256 {classifier.sha256[:12]}…); pass that model."
        )


def named_model(record: Record) -> Classifier:
    """The model that a record names, if it is the included one or supplied by a plugin."""
    name = str(record.provenance.get("model", {}).get("name"))
    try:
        return loader.load(name)
    except CnnExplainError as error:
        raise UsageError(f"The model '{name}' of the result can't be loaded by its name; pass it as classifier.") from error


def _explained(
    name: object,
    classifier: Classifier,
    images: object,
    target: object,
    against: object,
    dataset: object,
    options: dict[str, object],
) -> Record:
    if not isinstance(name, str) or not isinstance(classifier, Classifier):
        raise UsageError(
            f"verify() takes a record or the name of an analysis, and what cnnexplain.load() returns, but got "
            f"{type(name).__name__} and {type(classifier).__name__}."
        )
    analysis, plugin = registry.load().get(name)
    if images is None and "images" in analysis.inputs:
        raise UsageError(f"The analysis '{name}' explains images: give at least one.")
    if images is not None:
        images = as_batch(images, classifier)
    searched = images if dataset is None else dataset
    if searched is None:
        # The search of a large data set is not what is verified.
        searched = np.full((1, *classifier.preprocess.shape), classifier.preprocess.gray, np.float32)
    return run(analysis, plugin, options, classifier, images, target, against, searched)
