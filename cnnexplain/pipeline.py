"""explain(): the name of an analysis, a classifier, images and options → a Record."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import keras
import numpy as np

from cnnexplain import registry
from cnnexplain.arrays import Array, Floats, Integers
from cnnexplain.classifier import Classifier
from cnnexplain.errors import CnnExplainError, ModelError, PluginError, UsageError
from cnnexplain.images import ImageBatch, Source, as_batch
from cnnexplain.objectives import Logit, Objective
from cnnexplain.options import validate
from cnnexplain.plugin import Analysis, Result
from cnnexplain.record import Explained, Record
from cnnexplain.registry import Plugin
from cnnexplain.stream import Stream, open_stream

Class: TypeAlias = int | str
Target: TypeAlias = Class | Objective

DATASET = "mnist:test"
"""The data set that is looked through for a model of digits when none is named."""

SHOWN = 20
"""How many skipped files a warning names before it counts the rest."""

TAKEN = ("input", "file", "args", "kwds", "allow_pickle")
"""Names that an analysis' arrays can't have: of the images beside them, and of the parameters of `numpy.savez`."""


def explain(
    analysis: str,
    classifier: Classifier,
    images: object = None,
    *,
    target: Target | Sequence[Target] | None = None,
    against: Class | Sequence[Class] | None = None,
    dataset: object = None,
    progress: Callable[[int, int], None] | None = None,
    **options: object,
) -> Record:
    """Runs an analysis.

    Args:
        analysis: Its name, as `cnnexplain list` shows it.
        classifier: The model to explain, from `cnnexplain.load`.
        images: What `cnnexplain.read_images` returns, a path or sample, several of them, or an array (N, H, W, C):
            pixels as uint8, or floating-point numbers in the model's input range. None for an analysis of the model alone.
        target: The class to explain, by index or label, or an `Objective` such as `Logit(4) - Logit(9)`: one for all images
            or one for each. None explains each image's prediction.
        against: A class whose logit is subtracted from the target's: why 4 and not 9?
        dataset: For an analysis that looks through one: "mnist:test", "mnist:train", a folder, or images as above. None
            takes "mnist:test" for a model of digits, else the images.
        progress: Called with how much is done, and of how much.
        **options: The analysis' own, as `cnnexplain run ANALYSIS --help` shows them, with underscores for hyphens.

    Returns:
        The record, its arrays raw and signed.

    Raises:
        UsageError: There is no such analysis, option, class, layer, image or data set.
        ImageError: An image can't be read, or an array can't be explained.
        ModelError: The model gives values that are not finite, or the analysis does not fit it.
        PluginError: The analysis broke its contract.
    """
    if not isinstance(analysis, str) or not isinstance(classifier, Classifier):
        raise UsageError(
            f"explain() takes the name of an analysis and what cnnexplain.load() returns, but got "
            f"{type(analysis).__name__} and {type(classifier).__name__}."
        )
    found, plugin = registry.load().get(analysis)
    values = validate(found.options, options)
    _check_inputs(found, images, target, against, dataset)
    batch = None if images is None else as_batch(images, classifier)
    # Without images the model is tried on a grey one, since one that gives no finite numbers has nothing to explain.
    grey = np.full((1, *classifier.preprocess.shape), classifier.preprocess.grey, np.float32)
    probabilities = classifier.predict(grey if batch is None else batch)
    if not np.isfinite(probabilities).all():
        which = " for a plain grey image" if batch is None else ""
        raise ModelError(f"'{classifier.name}' gives probabilities that are not finite (NaN or infinity){which}.")
    predictions = [] if batch is None else [int(index) for index in probabilities.argmax(axis=1)]
    targets = _targets(target, classifier, predictions, fixed=batch is not None)
    objectives = _objectives(targets, against, classifier)
    stream = _stream(dataset, batch, classifier) if "dataset" in found.inputs else None
    given = {"classifier": classifier, "targets": targets, "objectives": objectives, "dataset": stream}
    started = time.perf_counter()
    result = _run(found, None if batch is None else np.asarray(batch), given, values, progress)
    seconds = time.perf_counter() - started
    arrays, facts = dict(result.arrays), dict(result.facts)
    if result.overview is not None:
        arrays |= result.overview.arrays
        facts |= result.overview.facts
    explained = [] if batch is None else zip(batch.sources, probabilities, predictions, targets, objectives, strict=True)
    explains = "targets" in found.inputs or "objectives" in found.inputs
    return Record(
        found,
        values,
        np.zeros((0, *classifier.preprocess.shape), np.float32) if batch is None else np.asarray(batch),
        tuple(_explained(*each, classifier.labels, explains=explains) for each in explained),
        arrays,
        facts,
        classifier.labels,
        classifier.preprocess,
        _provenance(classifier, plugin, stream),
        (*result.warnings, *_skipped(stream)),
        seconds,
    )


def _check_inputs(analysis: Analysis, images: object, target: object, against: object, dataset: object) -> None:
    inputs = analysis.inputs
    if images is None and "images" in inputs:
        raise UsageError(f"The analysis '{analysis.name}' explains images: give at least one.")
    if images is not None and "images" not in inputs:
        raise UsageError(f"The analysis '{analysis.name}' explains the model alone and takes no images.")
    if target is not None and not {"targets", "objectives"} & set(inputs):
        raise UsageError(f"The analysis '{analysis.name}' explains no class and takes no target.")
    if against is not None and "objectives" not in inputs:
        raise UsageError(f"The analysis '{analysis.name}' compares no classes and takes no 'against'.")
    if against is not None and target is None and images is None:
        raise UsageError(f"The analysis '{analysis.name}' needs a target to hold against {against}.")
    if dataset is not None and "dataset" not in inputs:
        raise UsageError(f"The analysis '{analysis.name}' looks through no data set and takes none.")


def _targets(
    target: Target | Sequence[Target] | None, classifier: Classifier, predictions: list[int], *, fixed: bool
) -> list[int | Objective]:
    """A class index or an objective for each image; without images, those that are asked for."""
    if target is None:
        return list(predictions)
    several = not isinstance(target, str | Objective) and np.ndim(target) > 0  # type: ignore[arg-type]
    wanted: list[Any] = list(target) if several else [target] * (len(predictions) if fixed else 1)  # type: ignore[arg-type]
    if fixed and len(wanted) != len(predictions):
        raise UsageError(f"There are {len(wanted)} targets for {len(predictions)} images; give one, or one for each.")
    return [one if isinstance(one, Objective) else classifier.target(one) for one in wanted]


def _objectives(
    targets: list[int | Objective], against: Class | Sequence[Class] | None, classifier: Classifier
) -> list[Objective]:
    objectives = [target if isinstance(target, Objective) else Logit(target) for target in targets]
    if against is None:
        return objectives
    several = not isinstance(against, str) and np.ndim(against) > 0
    others: list[Any] = list(against) if several else [against] * len(objectives)  # type: ignore[arg-type]
    if len(others) != len(objectives):
        raise UsageError(f"There are {len(others)} classes to hold against {len(objectives)} targets; give one for each.")
    indices = [classifier.target(other) for other in others]
    for target, index in zip(targets, indices, strict=True):
        if target == index:
            raise UsageError(f"The class {classifier.labels[index]} can't be held against itself.")
    return [objective - Logit(index) for objective, index in zip(objectives, indices, strict=True)]


def _explained(
    source: Source,
    probabilities: Floats,
    prediction: int,
    target: int | Objective,
    objective: Objective,
    labels: tuple[str, ...],
    *,
    explains: bool,
) -> Explained:
    wanted = target if explains and isinstance(target, int) else None
    plain = not explains or isinstance(objective, Logit)
    return Explained(
        source,
        prediction,
        float(probabilities[prediction]),
        wanted,
        None if wanted is None else float(probabilities[wanted]),
        None if plain else objective.describe(labels),
    )


def _stream(dataset: object, batch: ImageBatch | None, classifier: Classifier) -> Stream | None:
    if dataset is None:
        dataset = DATASET if classifier.preprocess.digits else batch
    return None if dataset is None else open_stream(dataset, classifier)


def _skipped(stream: Stream | None) -> tuple[str, ...]:
    if stream is None or not stream.skipped:
        return ()
    names = list(stream.skipped)
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return (
        f"{len(names)} of the {len(stream)} files of the data set '{stream.name}' can't be used and were skipped: "
        f"{', '.join(names[:SHOWN])}{more}.",
    )


def _run(
    analysis: Analysis,
    images: Array | None,
    given: Mapping[str, Any],
    options: Mapping[str, Any],
    progress: Callable[[int, int], None] | None,
) -> Result:
    """The analysis, over the images in chunks that fit the memory, put together again."""
    report = progress or (lambda *_: None)
    if images is None or "dataset" in analysis.inputs:
        if "targets" in analysis.inputs:
            given = {**given, "targets": _indices(analysis, given["targets"])}
        result = _call(analysis, {**given, "images": images, "progress": report}, options)
        _check(analysis, result, None if images is None else len(images))
        return result
    size = given["classifier"].batch_size
    chunks = [slice(start, start + size) for start in range(0, len(images), size)]
    results = []
    for chunk in chunks:

        def within(done: int, total: int, chunk: slice = chunk) -> None:
            count = min(chunk.stop, len(images)) - chunk.start
            share = (chunk.start + count * done / max(total, 1)) / len(images)
            report(*((done, total) if len(chunks) == 1 else (round(1000 * share), 1000)))

        here = {**given, "images": images[chunk], "objectives": given["objectives"][chunk], "progress": within}
        if "targets" in analysis.inputs:
            here["targets"] = _indices(analysis, given["targets"][chunk])
        result = _call(analysis, here, options)
        _check(analysis, result, len(images[chunk]))
        if result.overview is not None:
            raise PluginError(f"run() of '{analysis.name}' returned an overview, but doesn't ask for 'dataset'.")
        results.append(result)
        if "progress" not in analysis.inputs:
            report(min(chunk.stop, len(images)), len(images))
    forms = [({name: array.shape[1:] for name, array in each.arrays.items()}, set(each.facts)) for each in results]
    if any(form != forms[0] for form in forms):
        raise PluginError(
            f"run() of '{analysis.name}' returned arrays of other names or shapes, or other facts, for some images than "
            "for others; expected the same for all."
        )
    arrays = {name: np.concatenate([result.arrays[name] for result in results]) for name in results[0].arrays}
    facts = {name: [fact for result in results for fact in result.facts[name]] for name in results[0].facts}
    warnings = dict.fromkeys(warning for result in results for warning in result.warnings)
    return Result(arrays, facts, warnings=tuple(warnings))


def _indices(analysis: Analysis, targets: list[int | Objective]) -> Integers:
    for target in targets:
        if isinstance(target, Objective):
            raise UsageError(f"The analysis '{analysis.name}' explains a class; it can't explain the objective {target}.")
    return np.array(targets, np.int64)


def _call(analysis: Analysis, given: Mapping[str, Any], options: Mapping[str, Any]) -> Result:
    try:
        return analysis.run(*(given[name] for name in analysis.inputs), **options)
    except CnnExplainError:
        raise
    # A plugin is anyone's code; its own exception stays attached for its author.
    except Exception as error:
        raise PluginError(f"run() of '{analysis.name}' failed: {type(error).__name__}: {error}") from error


def _check(analysis: Analysis, result: object, count: int | None) -> None:
    """Sees that a result keeps the contract; `count` is the number of images, None where it is of none."""
    if not isinstance(result, Result):
        raise PluginError(f"run() of '{analysis.name}' returned a {type(result).__name__}; expected a Result.")
    for name, array in result.arrays.items():
        if not isinstance(array, np.ndarray) or (count is not None and array.shape[:1] != (count,)):
            raise PluginError(
                f"run() of '{analysis.name}' returned the array '{name}' of shape {np.shape(array)} for {count} images; "
                "expected a NumPy array with the images first."
            )
        if not name or not name.isprintable() or name in TAKEN or "\\" in name or {"", ".", ".."} & set(name.split("/")):
            raise PluginError(f"run() of '{analysis.name}' returned an array named '{name}'; expected another name.")
        if array.dtype.kind not in "biufc":
            raise PluginError(f"run() of '{analysis.name}' returned {array.dtype} in '{name}'; expected numbers.")
        if array.dtype.kind in "fc" and not np.isfinite(array).all():
            raise ModelError(f"'{analysis.name}' gives values that are not finite (NaN or infinity) in '{name}'.")
    for name, fact in result.facts.items():
        if count is not None and (not isinstance(fact, Sequence) or len(fact) != count):
            raise PluginError(
                f"run() of '{analysis.name}' returned the fact '{name}'; expected a list, an entry for each image."
            )
        try:
            json.dumps(fact, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise PluginError(
                f"run() of '{analysis.name}' returned the fact '{name}', which is no JSON: {error}."
            ) from error
    if result.overview is not None:
        _check(analysis, result.overview, None)
        if result.overview.overview is not None or result.overview.warnings:
            raise PluginError(f"run() of '{analysis.name}' returned an overview with warnings or an overview of its own.")
        twice = [*set(result.arrays) & set(result.overview.arrays), *set(result.facts) & set(result.overview.facts)]
        if twice:
            raise PluginError(f"run() of '{analysis.name}' returned '{twice[0]}' for the images and for the overview.")


def _provenance(classifier: Classifier, plugin: Plugin, stream: Stream | None) -> dict[str, Any]:
    dataset = {} if stream is None else {"name": stream.name, "images": len(stream), "skipped": stream.skipped}
    return {
        **({"dataset": dataset} if dataset else {}),
        "model": {"name": classifier.name, "sha256": classifier.sha256},
        "plugin": {"name": plugin.name, "distribution": plugin.distribution, "version": plugin.version},
        "keras": {"version": keras.__version__, "backend": keras.backend.backend()},
    }
