"""The subjects of a verification: each image of a record, with its objective and a way to compute it again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnexplain.checks.costs import BUDGET
from cnnexplain.errors import UsageError
from cnnexplain.inputs.image_stream import open_stream
from cnnexplain.inputs.images import as_batch
from cnnexplain.model.classifier import Classifier
from cnnexplain.model.computation.objectives import Logit, Objective
from cnnexplain.pipeline import parts, request, targets
from cnnexplain.plugin.analysis import Analysis
from cnnexplain.plugin.check import Subject
from cnnexplain.plugin.options import validate
from cnnexplain.plugin.registry import Plugin
from cnnexplain.results.explained import Explained
from cnnexplain.results.record import Record

if TYPE_CHECKING:
    from jaxtyping import Float32

SEED = 0
"""The seed of the random numbers of all checks."""


def subjects(record: Record, classifier: Classifier, objectives: Sequence[Objective | None]) -> list[Subject]:
    """A subject for each image; a single one for an analysis of the model itself.

    Args:
        record: The record.
        classifier: The model that it was made with.
        objectives: As returned by `image_objectives`.
    """
    return [
        Subject(record, index, classifier, objective, np.random.default_rng(SEED), rerun, BUDGET)
        for index, objective in enumerate(objectives)
    ]


def image_objectives(record: Record, classifier: Classifier, target: object, against: object) -> list[Objective | None]:
    """The objective of each image, or [None] for an analysis of the model itself.

    Args:
        record: The record.
        classifier: Its model.
        target: The target that the record was made with, if it is known; as for `cnnexplain.explain`.
        against: As `target`.

    Raises:
        UsageError: The record names an objective that is not a class or a difference of two; `target` must be given.
    """
    analysis = record.analysis
    if "images" not in analysis.inputs:
        return [None]
    if not {"targets", "objectives"} & set(analysis.inputs):
        return [None] * len(record)
    resolved: Any = targets.resolve(target, classifier)  # type: ignore[arg-type]
    if resolved is None or against is not None:
        return [_recorded(explained, classifier) for explained in record.explained]
    return [_objective(each) for each in targets.spread(resolved, len(record))]


def _objective(target: int | Objective) -> Objective:
    return target if isinstance(target, Objective) else Logit(target)


def _recorded(explained: Explained, classifier: Classifier) -> Objective:
    """The objective that a record names: the logit of a class, or the difference of two."""
    target, words = explained.target, explained.objective
    if words is None and target is not None:
        return Logit(target)
    if target is not None:
        for other in range(len(classifier.labels)):
            difference = Logit(target) - Logit(other)
            if other != target and difference.describe(classifier.labels) == words:
                return difference
    raise UsageError(f"The result explains '{words}', which its files don't define; pass it again as target.")


def run(
    analysis: Analysis,
    plugin: Plugin,
    options: Mapping[str, Any],
    classifier: Classifier,
    images: object,
    target: Any = None,
    against: Any = None,
    dataset: object = None,
    *,
    control: Classifier | None = None,
) -> Record:
    """Runs an analysis; the images are None for an analysis of the model itself, and `control` is the shuffled network."""
    takes = set(analysis.inputs)
    stream = None if images is None or "images" not in takes else open_stream(as_batch(images, classifier), classifier)
    explains = bool({"targets", "objectives"} & takes)
    prepared = request.assemble(
        analysis,
        plugin,
        validate(analysis.options, options),
        classifier,
        stream,
        targets.resolve(target, classifier) if explains else None,
        targets.resolve(against, classifier) if "objectives" in takes else None,
        dataset if "dataset" in takes else None,
        lambda *_: None,
        control,
    )
    return parts.run_whole(prepared)


def rerun(
    record: Record,
    images: Float32[np.ndarray, "N H W C"],
    classifier: Classifier,
    target: int | Objective | None,
    options: Mapping[str, Any],
) -> Record:
    """Runs the analysis of a record again; see `Subject.explain`. A data set is replaced by a single image."""
    # An analysis that takes no objectives takes the index of a class.
    index = target.target if isinstance(target, Logit) else target
    gray = np.full((1, *classifier.preprocess.shape), classifier.preprocess.gray, np.float32)
    given = images if "images" in record.analysis.inputs else None
    return run(
        record.analysis,
        plugin_of(record),
        {**record.options, **options},
        classifier,
        given,
        index,
        dataset=gray if given is None else images[:1],
    )


def plugin_of(record: Record) -> Plugin:
    """The plugin that a record names."""
    plugin = record.provenance.get("plugin", {})
    return Plugin(*(str(plugin.get(key, "")) for key in ("name", "distribution", "version")))
