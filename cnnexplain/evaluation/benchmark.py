"""What a benchmark compares, and the loop over the images."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cnnexplain.errors import CnnExplainError, UsageError
from cnnexplain.evaluation import checks
from cnnexplain.evaluation import methods as named
from cnnexplain.evaluation.masks import Masks
from cnnexplain.evaluation.methods import Method
from cnnexplain.evaluation.scoreboard import Scoreboard
from cnnexplain.evaluation.scoring import Outcome, Sample, scores
from cnnexplain.inputs import datasets
from cnnexplain.inputs.image_stream import Stream, stream_images
from cnnexplain.inputs.images import ImageBatch
from cnnexplain.model.classifier import Classifier
from cnnexplain.pipeline import targets
from cnnexplain.plugin import registry
from cnnexplain.plugin.metric import ALL, Metric
from cnnexplain.plugin.registry import Plugin

if TYPE_CHECKING:
    from jaxtyping import Float32, Float64, Int64

IMAGES = 100
"""The number of digits that are used if no image is given."""

MOST, BYTES = 64, 64 << 20
"""The maximum number of images whose maps are computed at once, and of bytes of these maps."""


@dataclass(frozen=True)
class Setup:
    """What is compared, on which model and images."""

    classifier: Classifier
    stream: Stream
    methods: Sequence[Method]
    metrics: Mapping[str, tuple[Metric, Plugin]]
    targets: Sequence[int] | None
    masks: Masks | None
    seed: int

    def board(self) -> Scoreboard:
        """An empty scoreboard."""
        return Scoreboard(
            model={"name": self.classifier.name, "sha256": self.classifier.sha256, "head": self.classifier.head},
            methods={method.name: method.kind for method in self.methods},
            options={method.name: dict(method.options) for method in self.methods if method.kind == "analysis"},
            metrics={name: metric for name, (metric, _) in self.metrics.items()},
            labels=self.classifier.labels,
            seed=self.seed,
            warnings={} if self.masks is None else dict.fromkeys(self.masks.warnings),
        )


def prepare(
    analyses: str | Sequence[str] | None,
    classifier: Classifier,
    images: object,
    metrics: str | Sequence[str] | None,
    target: targets.Class | Sequence[targets.Class] | None,
    masks: object,
    maps: Mapping[str, object] | None,
    seed: int,
) -> Setup:
    """Checks the arguments of `cnnexplain.benchmark`."""
    checks.seed(seed)
    chosen = checks.methods(analyses)
    selected = select(metrics, masked=masks is not None)
    stream = stream_images(default_images(classifier) if images is None else images, classifier)
    shape = classifier.preprocess.shape[:2]
    given = [named.from_maps(name, each, len(stream), shape) for name, each in (maps or {}).items()]
    compared = named.unique([*chosen, *given, *named.controls(seed)])
    if not chosen and not given:
        raise UsageError("There is no method to compare: name at least one analysis, or give maps.")
    resolved = targets.resolve(target, classifier)
    each_target = None
    if resolved is not None:
        each_target = targets.spread(resolved, len(stream))
        if not all(isinstance(one, int) for one in each_target):
            raise UsageError("A benchmark explains classes; it can't explain other objectives.")
    elif classifier.head == "values":
        each_target = [0] * len(stream)
    read = None if masks is None else Masks(masks, stream.names, classifier.preprocess)
    return Setup(classifier, stream, compared, selected, each_target, read, seed)  # type: ignore[arg-type]


def select(names: str | Sequence[str] | None, *, masked: bool) -> dict[str, tuple[Metric, Plugin]]:
    """The metrics of these names; None for the default ones, "all" for all. Without masks, both omit those that need them.

    Raises:
        UsageError: There is no such metric, or it needs masks and there are none.
        PluginError: Several plugins offer it.
    """
    checks.names(names, "metrics", "deletion")
    offered = registry.load().metrics
    defined = [name for name, metric in offered.items() if masked or "mask" not in metric.inputs]
    if names is None:
        return {name: offered.pick(name) for name in defined if offered[name].default}
    wanted = [names] if isinstance(names, str) else names
    found = {each: offered.pick(each) for name in wanted for each in (defined if name == ALL else [name])}
    for name, (metric, _) in found.items():
        if "mask" in metric.inputs and not masked:
            raise UsageError(
                f"The metric '{name}' needs the relevant pixels of each image; give them with --masks (masks=)."
            )
    if not found:
        raise UsageError(f"There is no metric to compute; name at least one of {', '.join(offered)}.")
    return found


def run(setup: Setup) -> Iterator[Outcome]:
    """The scores of the images, one image after the other.

    Raises:
        CnnExplainError: As for `cnnexplain.benchmark`.
    """
    yield from (outcome for outcome, _ in scored(setup))


def scored(setup: Setup, start: int = 0) -> Iterator[tuple[Outcome, Sample]]:
    """The scores of the images from `start` on, one image after the other, each with its maps.

    Raises:
        CnnExplainError: As for `cnnexplain.benchmark`.
    """
    errors: list[CnnExplainError] = []
    readable = known = start > 0
    size = len(setup.methods) * 8 * int(np.prod(setup.classifier.preprocess.shape[:2]))
    step = max(1, min(MOST, BYTES // size))
    for first in range(start, len(setup.stream), step):
        places, batch = setup.stream.read(range(first, min(first + step, len(setup.stream))))
        if len(places):
            readable = True
            for outcome, sample in _batch(setup, places, batch, errors):
                known = known or bool(outcome.scores)
                yield outcome, sample
            if not known and errors:
                raise _nothing(setup, errors)
    if not readable:
        raise setup.stream.unusable()


def _nothing(setup: Setup, errors: Sequence[CnnExplainError]) -> CnnExplainError:
    """The error if no metric has a score, from those of the metrics."""
    for error in errors:
        if not isinstance(error, UsageError):
            return error
    return CnnExplainError(f"No metric is defined for '{setup.classifier.name}': {errors[0]}")


def _batch(
    setup: Setup, places: Int64[np.ndarray, " n"], batch: ImageBatch, errors: list[CnnExplainError]
) -> Iterator[tuple[Outcome, Sample]]:
    classifier, images = setup.classifier, np.asarray(batch)
    if setup.targets is None:
        logits = classifier.logits(images)
        classifier.compare(images, logits)
        targets.check_finite(classifier, classifier.predictions(logits))
        chosen = classifier.predictions(logits).argmax(axis=1).tolist()
    else:
        chosen = [setup.targets[place] for place in places]
    maps, warnings, failed = [], {}, {}
    for method in setup.methods:
        if method.explain is None:
            assert method.maps is not None
            maps.append(np.asarray(method.maps[places], np.float64))
            continue
        try:
            computed, warnings[method.name] = method.explain(classifier, images, chosen)
        except CnnExplainError as error:
            if not method.optional:
                raise
            failed[method.name] = str(error)
            continue
        maps.append(computed.astype(np.float64))
    together = np.stack(maps, axis=1)
    present = [method for method in setup.methods if method.name not in failed]
    if all(method.kind == "control" for method in present):
        raise CnnExplainError(f"No analysis supports '{classifier.name}'. {_first(failed)}")
    for number, place in enumerate(places.tolist()):
        sample = Sample(
            image=images[number],
            target=chosen[number],
            maps=together[number],
            mask=None if setup.masks is None else setup.masks[place],
            explain=_explainer(classifier, present, chosen[number]),
        )
        name, target = batch.sources[number].name, chosen[number]
        found, caught = _scores(setup, sample, [method in present for method in setup.methods])
        errors += caught.values()
        undefined = {metric: str(error) for metric, error in caught.items() if isinstance(error, UsageError)}
        other = {metric: str(error) for metric, error in caught.items() if metric not in undefined}
        yield Outcome(place, name, target, found, warnings, undefined, other, failed), sample


def _first(reasons: Mapping[str, str]) -> str:
    """The first of several reasons, with its name."""
    name, reason = next(iter(reasons.items()))
    return f"{name}: {reason}"


def _scores(
    setup: Setup, sample: Sample, present: Sequence[bool]
) -> tuple[dict[str, dict[str, Float64[np.ndarray, " M"]]], dict[str, CnnExplainError]]:
    """The scores of all metrics that are defined, NaN for methods that are not present, and the errors of the others."""
    found, errors = {}, {}
    for name, (metric, plugin) in setup.metrics.items():
        if "mask" in metric.inputs and sample.mask is None:
            continue
        try:
            known = scores(metric, plugin, setup.classifier, sample, setup.seed)
        except CnnExplainError as error:
            errors[name] = error
            continue
        found[name] = {score: np.full(len(present), np.nan) for score in known}
        for score, values in known.items():
            found[name][score][np.array(present)] = values
    return found, errors


def _explainer(
    explained: Classifier, methods: Sequence[Method], output: int
) -> Callable[..., Float64[np.ndarray, "M n H W"]]:
    """The input `explain` of a metric; see `cnnexplain.plugin.Metric`."""

    def explain(
        images: Float32[np.ndarray, "n H W C"], target: int | None = None, classifier: Classifier | None = None
    ) -> Float64[np.ndarray, "M n H W"]:
        chosen = [output if target is None else target] * len(images)
        maps = np.full((len(methods), *images.shape[:3]), np.nan)
        for place, method in enumerate(methods):
            if method.explain is not None:
                maps[place] = method.explain(classifier or explained, images, chosen)[0]
        return maps

    return explain


def default_images(classifier: Classifier) -> list[str]:
    """The images that are used if none is given.

    Raises:
        UsageError: The model is not a digit classifier.
    """
    preset = classifier.preprocess.preset
    if preset is None:
        raise UsageError(f"'{classifier.name}' is not a digit classifier: give the images to explain.")
    return datasets.MNIST.samples("test", IMAGES)
