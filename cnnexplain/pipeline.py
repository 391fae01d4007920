"""explain(): the name of an analysis, a classifier, images and options → a Record."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from cnnexplain import registry
from cnnexplain.arrays import Array, Integers
from cnnexplain.classifier import Classifier
from cnnexplain.errors import CnnExplainError, ModelError, PluginError, UsageError
from cnnexplain.images import as_batch
from cnnexplain.options import validate
from cnnexplain.plugin import Analysis, Result
from cnnexplain.record import Explained, Record
from cnnexplain.registry import Plugin

TAKEN = ("input", "file", "args", "kwds", "allow_pickle")
"""Names that an analysis' arrays can't have: of the images beside them, and of the parameters of `numpy.savez`."""


def explain(
    analysis: str,
    classifier: Classifier,
    images: object,
    *,
    target: int | str | Sequence[int | str] | None = None,
    progress: Callable[[int, int], None] | None = None,
    **options: object,
) -> Record:
    """Runs an analysis on images.

    Args:
        analysis: Its name, as `cnnexplain list` shows it.
        classifier: The model to explain, from `cnnexplain.load`.
        images: What `cnnexplain.read_images` returns, a path or sample, several of them, or an array (N, H, W, C):
            pixels as uint8, or floating-point numbers in the model's input range.
        target: The class to explain, by index or label: one for all images or one for each. None explains each image's
            prediction.
        progress: Called with how many images are done, and of how many.
        **options: The analysis' own, as `cnnexplain run ANALYSIS --help` shows them, with underscores for hyphens.

    Returns:
        The record, its arrays raw and signed.

    Raises:
        UsageError: There is no such analysis, option, class or image.
        ImageError: An image can't be read, or an array can't be explained.
        ModelError: The model gives values that are not finite.
        PluginError: The analysis broke its contract.
    """
    if not isinstance(analysis, str) or not isinstance(classifier, Classifier):
        raise UsageError(
            f"explain() takes the name of an analysis and what cnnexplain.load() returns, but got "
            f"{type(analysis).__name__} and {type(classifier).__name__}."
        )
    found, plugin = registry.load().get(analysis)
    values = validate(found.options, options)
    if target is not None and "targets" not in found.inputs:
        raise UsageError(f"The analysis '{found.name}' explains no class and takes no target.")
    batch = as_batch(images, classifier)
    probabilities = classifier.predict(batch)
    if not np.isfinite(probabilities).all():
        raise ModelError(f"'{classifier.name}' gives probabilities that are not finite (NaN or infinity).")
    predictions = probabilities.argmax(axis=1)
    targets = predictions if target is None else _targets(target, classifier, len(batch))
    started = time.perf_counter()
    result = _run(found, classifier, np.asarray(batch), targets, values, progress)
    seconds = time.perf_counter() - started
    explains = "targets" in found.inputs
    explained = tuple(
        Explained(
            source,
            int(prediction),
            float(row[prediction]),
            int(wanted) if explains else None,
            float(row[wanted]) if explains else None,
        )
        for source, row, prediction, wanted in zip(batch.sources, probabilities, predictions, targets, strict=True)
    )
    return Record(
        found,
        values,
        np.asarray(batch),
        explained,
        result.arrays,
        result.facts,
        classifier.labels,
        classifier.preprocess,
        _provenance(classifier, plugin),
        seconds,
    )


def _targets(target: int | str | Sequence[int | str], classifier: Classifier, count: int) -> Integers:
    wanted = [target] * count if isinstance(target, str) or np.ndim(target) == 0 else list(target)  # type: ignore[arg-type]
    if len(wanted) != count:
        raise UsageError(f"There are {len(wanted)} targets for {count} images; give one, or one for each.")
    return np.array([classifier.target(one) for one in wanted])  # type: ignore[arg-type]


def _run(
    analysis: Analysis,
    classifier: Classifier,
    images: Array,
    targets: Integers,
    options: Mapping[str, Any],
    progress: Callable[[int, int], None] | None,
) -> Result:
    """The analysis over the images in chunks that fit the memory, put together again."""
    results = []
    for start in range(0, len(images), classifier.batch_size):
        chunk = slice(start, start + classifier.batch_size)
        given = {"classifier": classifier, "images": images[chunk], "targets": targets[chunk]}
        try:
            result = analysis.run(*(given[name] for name in analysis.inputs), **options)
        except CnnExplainError:
            raise
        # A plugin is anyone's code; its own exception stays attached for its author.
        except Exception as error:
            raise PluginError(f"run() of '{analysis.name}' failed: {type(error).__name__}: {error}") from error
        _check(analysis, result, len(images[chunk]))
        results.append(result)
        if progress is not None:
            progress(min(chunk.stop, len(images)), len(images))
    arrays = {name: np.concatenate([result.arrays[name] for result in results]) for name in results[0].arrays}
    facts = {name: [fact for result in results for fact in result.facts[name]] for name in results[0].facts}
    return Result(arrays, facts)


def _check(analysis: Analysis, result: object, count: int) -> None:
    if not isinstance(result, Result):
        raise PluginError(f"run() of '{analysis.name}' returned a {type(result).__name__}; expected a Result.")
    for name, array in result.arrays.items():
        if not isinstance(array, np.ndarray) or array.shape[:1] != (count,):
            raise PluginError(
                f"run() of '{analysis.name}' returned the array '{name}' of shape {np.shape(array)} for {count} images; "
                "expected a NumPy array with the images first."
            )
        if not name.isidentifier() or name in TAKEN:
            raise PluginError(f"run() of '{analysis.name}' returned an array named '{name}'; expected another name.")
        if array.dtype.kind not in "biufc":
            raise PluginError(f"run() of '{analysis.name}' returned {array.dtype} in '{name}'; expected numbers.")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ModelError(f"'{analysis.name}' gives values that are not finite (NaN or infinity) in '{name}'.")
    for name, fact in result.facts.items():
        if not isinstance(fact, Sequence) or len(fact) != count:
            raise PluginError(
                f"run() of '{analysis.name}' returned the fact '{name}'; expected a list, an entry for each image."
            )
        try:
            json.dumps(fact, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise PluginError(
                f"run() of '{analysis.name}' returned the fact '{name}', which is no JSON: {error}."
            ) from error


def _provenance(classifier: Classifier, plugin: Plugin) -> dict[str, Any]:
    return {
        "model": {"name": classifier.name, "sha256": classifier.sha256},
        "plugin": {"name": plugin.name, "distribution": plugin.distribution, "version": plugin.version},
        "keras": {"version": keras.__version__, "backend": keras.backend.backend()},
    }
