"""Verifies a saved result: computes it again from its model, images and options, and compares every number."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from cnnexplain.checks import ROUNDING, difference, shuffled
from cnnexplain.errors import CnnExplainError, UsageError
from cnnexplain.inputs import images as image_files
from cnnexplain.model.classifier import Classifier
from cnnexplain.model.computation.objectives import Logit
from cnnexplain.plugin.check import Check, Measurement
from cnnexplain.results import reader
from cnnexplain.results.control import all_arrays
from cnnexplain.results.record import Record, load_parts
from cnnexplain.results.verification import Row, Verification
from cnnexplain.verification.comparison import fact_difference
from cnnexplain.verification.subjects import image_objectives, plugin_of, run
from cnnexplain.verification.verify import check_model, named_model

ARRAYS = Check("arrays", "The same model, images and options give the same arrays again.", lambda _: Measurement(None))
FACTS = Check("facts", "The same model, images and options give the same facts again.", lambda _: Measurement(None))
IMAGES = Check(
    "images",
    "The image files are unchanged: read again, they give the images of the result.",
    lambda _: Measurement(None),
)

SMALL = 0.01
"""The magnitude of facts below which differences are relative to this number: single precision rounds scores of the order of
1, and the small differences of such scores, to about 0.01 · `ROUNDING`."""


def verify_saved(
    folder: Path, classifier: Classifier | None = None, progress: Callable[[int, int], None] = lambda *_: None
) -> Verification:
    """Computes a saved result again and compares it.

    Args:
        folder: The folder of one analysis, such as "cnnexplain-out/saliency".
        classifier: The model of the result; None loads the model that the result names.
        progress: Called with the number of images that were recomputed, and of all images.

    Raises:
        UsageError: The result was made with another model, which is checked by its hash, or lacks what it depends on.
        OutputError: The folder contains no result, or a damaged one.
    """
    started = time.perf_counter()
    result = reader.read_result(folder)
    request, several = result.get("request", {}), len(result.get("parts", [])) > 1
    measurements: dict[str, list[Measurement]] = {"arrays": [], "facts": [], "images": []}
    sources: list[str] = []
    analysis, control = "", None
    for number, record in enumerate(load_parts(folder), start=1):
        classifier = classifier or named_model(record)
        check_model(record, classifier)
        analysis = record.analysis.name
        if record.control is not None and control is None:
            control = shuffled(classifier)
        again = _again(record, classifier, request, control)
        where = f"part {number}: " if several else ""
        for name, measured in (
            ("arrays", _array_measurement(record, again)),
            ("facts", _fact_measurement(record, again)),
        ):
            measurements[name].append(replace(measured, detail=f"{where}{measured.detail}"))
        measurements["images"] += list(_image_measurements(record, classifier))
        sources += [explained.source.name for explained in record.explained]
        progress(len(sources), int(request.get("images", {}).get("count", len(sources))))
    assert classifier is not None
    rows = tuple(Row("saved", check, tuple(measurements[check.name])) for check in (ARRAYS, FACTS, IMAGES))
    model = {"name": classifier.name, "sha256": classifier.sha256}
    rows = tuple(row for row in rows if row.measurements)
    return Verification(analysis, model, tuple(sources), rows, time.perf_counter() - started)


def _again(record: Record, classifier: Classifier, request: dict[str, Any], control: Classifier | None) -> Record:
    """The recomputed record; `control` is the shuffled network."""
    takes = record.analysis.inputs
    images = record.images if "images" in takes else None
    target, against = _targets(record, classifier) if images is not None else _model_targets(request)
    dataset: Any = record.provenance.get("dataset", {}).get("name") if not record.span.start else None

    def explain(dataset: Any) -> Record:
        return run(
            record.analysis,
            plugin_of(record),
            record.options,
            classifier,
            images,
            target,
            against,
            dataset,
            control=control,
        )

    try:
        return explain(dataset)
    except UsageError as error:
        if dataset is None or images is None or "data set" not in str(error):
            raise
        # The data set of a result may be the images themselves, which have no name by which they could be found.
        return explain(images)


def _targets(record: Record, classifier: Classifier) -> tuple[Any, Any]:
    """The targets of the images of a record, and what is subtracted: nothing, since it is part of an objective."""
    objectives = image_objectives(record, classifier, None, None)
    targets = [each.target if isinstance(each, Logit) else each for each in objectives]
    return (None if None in targets else targets), None


def _model_targets(request: dict[str, Any]) -> tuple[Any, Any]:
    """The targets of an analysis of the model itself, and what is subtracted from them, as they were requested.

    Raises:
        UsageError: The result does not contain what they depend on.
    """
    if request.get("images", {}).get("count"):
        raise UsageError(
            "The result explains the predictions for images that it does not contain, so it can't be recomputed."
        )
    target = request.get("target")
    if not all(isinstance(each, int | None) for each in (target if isinstance(target, list) else [target])):
        raise UsageError(f"The result explains '{target}', which its files don't define, so it can't be recomputed.")
    return target, request.get("against")


def _array_measurement(record: Record, again: Record) -> Measurement:
    arrays, recomputed = all_arrays(record), all_arrays(again)
    missing = sorted(set(arrays) ^ set(recomputed))
    if missing:
        return Measurement(float("inf"), ROUNDING, f"'{missing[0]}' is in only one of the results")
    worst, name = 0.0, ""
    for key, array in arrays.items():
        if array.shape != recomputed[key].shape:
            return Measurement(float("inf"), ROUNDING, f"'{key}' has the shape {recomputed[key].shape}, not {array.shape}")
        # Integers and truth values are not rounded.
        error = difference(recomputed[key], array)
        if array.dtype.kind in "biu" and error > 0:
            return Measurement(math.inf, ROUNDING, f"'{key}' differs, whose values are not rounded")
        if not error <= worst:
            worst, name = error, key
        if math.isnan(worst):
            break
    found = f"the largest difference is in '{name}'" if name else "no number differs"
    return Measurement(worst, ROUNDING, f"{found}, of {len(arrays)} arrays")


def _fact_measurement(record: Record, again: Record) -> Measurement:
    found = fact_difference(again.facts, record.facts, ROUNDING, least=SMALL)
    return Measurement(float(bool(found)), 0.0, found or f"{len(record.facts)} facts")


def _image_measurements(record: Record, classifier: Classifier) -> Iterator[Measurement]:
    """The largest difference between each image and what its file contains now; files that are gone are left out."""
    for image, explained in zip(record.images, record.explained, strict=True):
        source = explained.source
        try:
            found, now = image_files.read(source.name, classifier.preprocess, source.inverted)
        except CnnExplainError:
            yield Measurement(None, detail=f"'{source.name}' no longer exists")
            continue
        if now.sha256 != source.sha256:
            yield Measurement(1.0, 0.0, f"'{source.name}' has changed since")
        else:
            yield Measurement(difference(found, image), ROUNDING, f"'{source.name}'")
