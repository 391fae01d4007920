"""The loop over the images of a request: reads, explains and records a few images at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from cnnexplain.errors import CnnExplainError, PluginError
from cnnexplain.inputs.image_stream import Stream
from cnnexplain.inputs.images import ImageBatch
from cnnexplain.inputs.source import Source
from cnnexplain.model.classifier import Classifier
from cnnexplain.model.computation.objectives import Logit, Objective
from cnnexplain.model.computation.predictions import Predictions
from cnnexplain.pipeline import targets
from cnnexplain.pipeline.contract import run_analysis, structure_of
from cnnexplain.pipeline.control import with_control
from cnnexplain.pipeline.input_warnings import dataset_warnings, input_warnings
from cnnexplain.pipeline.provenance import provenance
from cnnexplain.pipeline.request import Request
from cnnexplain.pipeline.targets import Resolved
from cnnexplain.plugin.analysis import Result
from cnnexplain.results.control import CORRELATION
from cnnexplain.results.explained import Explained
from cnnexplain.results.joining import join
from cnnexplain.results.notes import noise_warnings
from cnnexplain.results.record import Record

if TYPE_CHECKING:
    from jaxtyping import Float, Float32, Int


LEAST_READ, MOST_READ, READ_BYTES = 64, 256, 1 << 30
"""How many images are read and explained at once, if the batch size is not smaller: as many as have outputs of all layers
and gradients of `READ_BYTES`, within these limits."""

PART_IMAGES, PART_BYTES = 256, 48 << 20
"""A part of a run on many images ends after this number of images, or of bytes of their arrays."""

DIFFERENT = "run() of '{}' returned different arrays, shapes or facts for different images; expected the same for all."


def run_whole(request: Request) -> Record:
    """Runs a request on all of its images.

    Raises:
        CnnExplainError: As for `cnnexplain.explain`.
    """
    return _finish(request, list(_pieces(request, 0)))


def run_parts(request: Request, start: int = 0) -> Iterator[Record]:
    """Runs a request part by part, beginning with the image at index `start`.

    Yields:
        A record of up to `PART_IMAGES` images, or fewer if their arrays are large.

    Raises:
        CnnExplainError: As for `cnnexplain.explain_parts`.
    """
    pieces: list[Record] = []
    for piece in _pieces(request, start):
        pieces.append(piece)
        last = request.images is None or piece.span.stop == len(request.images)
        if last or sum(map(_bytes, pieces)) >= PART_BYTES or sum(map(len, pieces)) >= PART_IMAGES:
            # Frees the memory of the batches while they are joined.
            del piece
            record = _finish(request, pieces)
            yield record
            # Frees the memory of this part before the next one is computed.
            del record


def _bytes(record: Record) -> int:
    arrays = [*record.arrays.values(), *([] if record.control is None else record.control.arrays.values())]
    return record.images.nbytes + sum(array.nbytes for array in arrays)


def _finish(request: Request, pieces: list[Record]) -> Record:
    """Joins the records of a few images each into the record of a part, with the warnings and provenance of the request."""
    record = join(pieces)
    first = not record.span.start
    warnings = [*input_warnings(request, [explained.source for explained in record.explained]), *record.warnings]
    warnings += noise_warnings(record, 1 if request.images is None else len(request.images))
    return replace(
        record,
        # The overview is in the first part only.
        analysis=record.analysis if first else replace(record.analysis, overview=None),
        warnings=(*warnings, *(dataset_warnings(request) if first else ())),
        provenance=provenance(request),
    )


def _pieces(request: Request, start: int) -> Iterator[Record]:
    """A record for each batch of images, without the fields that `_finish` adds."""
    if request.images is None:
        yield _model_alone(request)
        return
    structure: tuple[dict[str, tuple[int, ...]], set[str]] | None = None
    for span, places, batch in _batches(request.images, start, request.classifier):
        result, control, explained, seconds = _batch_result(request, span, places, batch)
        arrays, facts = structure_of(result)
        current = arrays, facts - {CORRELATION}
        if structure not in (None, current):
            raise PluginError(DIFFERENT.format(request.analysis.name))
        structure = current
        if control is None:
            # If it failed once, the record will have none.
            request = replace(request, control=None)
        record = replace(_record(request, np.asarray(batch), explained, result, seconds, span), control=control)
        del batch, result, control, explained
        yield record
        del record


def _batches(
    images: Stream, start: int, classifier: Classifier
) -> Iterator[tuple[range, Int[np.ndarray, " N"], ImageBatch]]:
    """Batches of readable images, each with the range of indices that it covers and the indices of its images.

    Raises:
        ImageError: None of them can be read.
    """
    ready: tuple[Int[np.ndarray, " N"], ImageBatch] | None = None
    most = min(MOST_READ, max(LEAST_READ, READ_BYTES // (2 * 4 * classifier.activation_count)))
    first = last = start
    while last < len(images):
        stop = min(last + min(classifier.batch_size, most), len(images))
        places, batch = images.read(range(last, stop))
        if len(places):
            # The range of a batch ends at the next readable image, so a batch is yielded after the next one is read.
            if ready is not None:
                yield range(first, last), *ready
                first = last
            ready = places, batch
        last = stop
    if ready is not None:
        yield range(first, last), *ready
    elif not start:
        raise images.unusable()


def _batch_result(
    request: Request, span: range, places: Int[np.ndarray, " N"], batch: ImageBatch
) -> tuple[Result, Result | None, tuple[Explained, ...], float]:
    """The result of the analysis for a batch, that of the control, what was explained, and the run time in seconds."""
    classifier, total, images = request.classifier, len(request.images or ()), np.asarray(batch)
    takes = set(request.analysis.inputs)

    def check(
        images: Float[np.ndarray, "n H W C"], logits: Float[np.ndarray, "n K"], outputs: Float[np.ndarray, "n outputs"]
    ) -> None:
        # Loading compared the compiled graph with the model on noise only; here it is compared on the user's images.
        classifier.compare(images, logits)
        targets.check_finite(classifier, outputs)

    predictions = Predictions(classifier, images, check)
    given: Sequence[Resolved] | None = None
    if request.targets is not None:
        given = [request.targets[place] for place in places]
    elif classifier.head == "values":
        given = [0] * len(images)
    against = None if request.against is None else [request.against[place] for place in places]
    # Otherwise the first pass of the analysis computes the predictions.
    if "objectives" not in takes or "targets" in takes or against is not None:
        predictions.complete()

    def explained_targets() -> Sequence[Resolved]:
        return predictions.classes.tolist() if given is None else given

    stages = 1 if request.control is None else 2

    def progress(done: int, count: int, stage: int = 0) -> None:
        share = (span.start + len(span) * (stage + done / max(count, 1)) / stages) / total
        request.progress(*((done, count) if len(span) == total and stages == 1 else (round(1000 * share), 1000)))

    objectives = targets.image_objectives(predictions, given)
    if against is not None:
        objectives = targets.contrasts(objectives, explained_targets(), against, classifier)
    try:
        result, seconds = run_analysis(
            request, images, explained_targets() if "targets" in takes else (), objectives, progress, first=not span.start
        )
    except CnnExplainError:
        # A model whose predictions are not finite explains why the analysis failed.
        predictions.complete()
        raise
    predictions.complete()
    control = None
    if request.control is not None:
        # The classes of the real network, not those that the shuffled one predicts.
        result, control, more = with_control(
            request, images, explained_targets(), against, result, partial(progress, stage=1)
        )
        seconds += more
    if "progress" not in takes:
        request.progress(span.stop, total)
    explains = bool({"targets", "objectives"} & takes)
    explained = _explained(batch.sources, predictions, explained_targets(), objectives, explains=explains)
    return result, control, explained, seconds


def _model_alone(request: Request) -> Record:
    """The record of an analysis of the model itself."""
    classifier = request.classifier
    shape = classifier.preprocess.shape
    # A model whose outputs are not finite can't be explained, so it is tried on a gray image.
    gray = np.full((1, *shape), classifier.preprocess.gray, np.float32)
    targets.check_finite(classifier, classifier.predict(gray), " for a plain gray image")
    explained_targets: Sequence[Resolved] = request.targets or []
    against = request.against
    warnings: tuple[str, ...] = ()
    if request.predicted is not None and request.targets is None:
        explained_targets, warnings = targets.predicted(classifier, request.predicted, against)
        against = None if against is None else [against[0]] * len(explained_targets)
    objectives = [target if isinstance(target, Objective) else Logit(target) for target in explained_targets]
    if against is not None:
        objectives = targets.contrasts(objectives, explained_targets, against, classifier)
    result, seconds = run_analysis(request, None, explained_targets, objectives, request.progress, first=True)
    result = replace(result, warnings=(*warnings, *result.warnings))
    return _record(request, np.zeros((0, *shape), np.float32), (), result, seconds, range(0))


def _record(
    request: Request,
    images: Float32[np.ndarray, "N H W C"],
    explained: tuple[Explained, ...],
    result: Result,
    seconds: float,
    span: range,
) -> Record:
    overview = Result({}) if result.overview is None else result.overview
    return Record(
        analysis=request.analysis,
        options=request.options,
        images=images,
        explained=explained,
        arrays={**result.arrays, **overview.arrays},
        facts={**result.facts, **overview.facts},
        labels=request.classifier.labels,
        preprocess=request.classifier.preprocess,
        provenance={},
        warnings=tuple(dict.fromkeys(result.warnings)),
        seconds=seconds,
        span=span,
        skipped={} if request.images is None else request.images.skipped_in(span),
    )


def _explained(
    sources: Sequence[Source],
    predictions: Predictions,
    targets: Sequence[Resolved],
    objectives: Sequence[Objective],
    *,
    explains: bool,
) -> tuple[Explained, ...]:
    """What is explained for each image of a batch; `explains` is false for an analysis that explains no target."""
    classifier, outputs, predicted = predictions.classifier, predictions.outputs, predictions.classes.tolist()
    indices = [target if explains and isinstance(target, int) else None for target in targets]
    descriptions = [
        None if not explains or isinstance(objective, Logit) else objective.describe(classifier.labels)
        for objective in objectives
    ]
    if classifier.head == "values":
        if explains:
            # Each value has two scores: one for increasing it and one for decreasing it.
            units = [objective.terms[0][0] for objective in objectives]
            targeted = [classifier.target(unit.target) if isinstance(unit, Logit) else 0 for unit in units]
            predicted = [index % classifier.outputs for index in targeted]
        values = outputs[np.arange(len(outputs)), predicted].tolist()
        columns = zip(sources, predicted, indices, descriptions, values, strict=True)
        unit = classifier.unit
        return tuple(
            Explained(source, shown, None, index, None, description, value, unit)
            for source, shown, index, description, value in columns
        )
    # A single index of both takes half the time.
    probabilities, of_targets = outputs[
        np.arange(len(outputs)), [predicted, [0 if index is None else index for index in indices]]
    ].tolist()
    target_probabilities = [
        None if index is None else probability for index, probability in zip(indices, of_targets, strict=True)
    ]
    return tuple(map(Explained, sources, predicted, probabilities, indices, target_probabilities, descriptions))
