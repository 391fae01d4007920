"""What was understood of a model, and what a user would trip over: `cnnexplain doctor`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from cnnexplain.errors import CnnExplainError, ModelError
from cnnexplain.inputs import bit_depth
from cnnexplain.inputs.images import ImageBatch, as_batch, read
from cnnexplain.loading.infer_preprocess import PIXELS, SHARES, SIGNED, Range, expected_range
from cnnexplain.model.axes import Field
from cnnexplain.model.classifier import Classifier
from cnnexplain.model.layers import Layer
from cnnexplain.pipeline.explain import explain
from cnnexplain.plugin import registry
from cnnexplain.plugin.analysis import Analysis
from cnnexplain.types import Array, Floats

SURE = 1e-6
"""A probability as near to 1 as this is 1 in single precision, where no change of the image shows in it."""

ENOUGH, MANY = 16, 1 / 3
"""A layer of which more than `MANY` of the channels are zero for all of at least `ENOUGH` images is worth a word."""

FAR, NEAR = 0.5, 0.1
"""A normalization that is given other numbers than it learned from, by more nats than `FAR`, is worth a word where another
range of the input brings that below `NEAR`."""

FIT = 0.1
"""By how much of its range an input may lie beside the one that the model expects."""

RANGE_OPTIONS = {
    PIXELS: "--input-scale 1 --input-mean 0 --input-std 1",
    SHARES: "--input-scale 1/255 --input-mean 0 --input-std 1",
    SIGNED: "--input-scale 1/127.5 --input-mean 1 --input-std 1",
}
"""The options that say the ranges that a model's operations tell."""

RANGES: dict[str, dict[str, Any]] = {
    "--input-scale 1/255": {"scale": 1 / 255, "mean": (0.0,), "std": (1.0,)},
    "--input-scale 1/127.5 --input-mean 1": {"scale": 1 / 127.5, "mean": (1.0,), "std": (1.0,)},
    "--input-scale 1": {"scale": 1.0, "mean": (0.0,), "std": (1.0,)},
    "--input-scale 1/255 --input-mean 0.485,0.456,0.406 --input-std 0.229,0.224,0.225": {
        "scale": 1 / 255,
        "mean": (0.485, 0.456, 0.406),
        "std": (0.229, 0.224, 0.225),
    },
    "--input-color bgr --input-scale 1 --input-mean 103.939,116.779,123.68": {
        "color": "bgr",
        "scale": 1.0,
        "mean": (103.939, 116.779, 123.68),
        "std": (1.0,),
    },
}
"""The ranges that Keras' own models take, each with the options that say it."""


RESIZED = 64
"""How many images at most are resized in other ways."""

RESIZINGS: dict[str, dict[str, Any]] = {
    "without anti-aliasing, as Keras' image_dataset_from_directory does, {}. If the model was trained so, give "
    "--input-antialias false (antialias in a sidecar)": {"antialias": False},
    "with anti-aliasing, {}. If the model was trained so, give --input-antialias true --input-interpolation bilinear": {
        "antialias": True,
        "interpolation": "bilinear",
    },
    "to the nearest pixels, as Keras' load_img(target_size=…) does, {}. If the model was trained so, give "
    "--input-antialias true --input-interpolation nearest": {"antialias": True, "interpolation": "nearest"},
}
"""How images may be resized, each with the words for it."""


@dataclass(frozen=True)
class LayerReport:
    """What is to be said of a layer.

    Args:
        layer: Which.
        field: The receptive field of its units; None where it has no feature maps, or the field is not known.
        unknown: Why the receptive field of its feature maps is not known, or "".
        rules: Which of the rules of deconvnets can bring its feature maps down to the pixels; () where it has none.
        refused: Why not all of them can, or "".
        silent: How many of its channels are zero for all the images.
    """

    layer: Layer
    field: Field | None
    unknown: str
    rules: tuple[str, ...]
    refused: str
    silent: int


@dataclass(frozen=True)
class Trial:
    """What came of trying an analysis on one image with few steps.

    Args:
        analysis: Its name.
        works: Whether it gave a result.
        remarks: Why not, or what the result warns of.
    """

    analysis: str
    works: bool
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class Examination:
    """The outcome of `examine`.

    Args:
        layers: The layers in the order of computation.
        findings: What a user would trip over, each with what mends it.
        trials: Every installed analysis.
        images: How many images it was tried on; 0 for noise.
        expected: The range of pixels that the model's own operations expect; None where they don't tell it.
    """

    layers: tuple[LayerReport, ...]
    findings: tuple[str, ...]
    trials: tuple[Trial, ...]
    images: int
    expected: Range | None = None

    @property
    def well(self) -> bool:
        """Whether there is no finding and every analysis works."""
        return not self.findings and all(trial.works for trial in self.trials)


def examine(
    classifier: Classifier, images: object = None, progress: Callable[[int, int], None] = lambda *_: None
) -> Examination:
    """Looks through a model, and tries every installed analysis on the first image.

    Args:
        classifier: The model, from `cnnexplain.load`.
        images: What `cnnexplain.explain` takes; the more, the surer. None tries it on noise.
        progress: Called with how much is done, and of how much.

    Raises:
        ImageError: An image can't be read.
    """
    noise = classifier.preprocess.between(np.random.default_rng(0).uniform(0, 1, (1, *classifier.preprocess.shape)))
    batch = as_batch(noise if images is None else images, classifier)
    expected = expected_range(classifier.model, classifier.preprocess.shape, classifier.inputs)
    analyses = registry.load().analyses
    total = 2 + len(analyses)
    logits = classifier.logits(np.asarray(batch))
    if not np.isfinite(logits).all():
        finding = f"The model gives scores that are not finite for {int((~np.isfinite(logits)).any(axis=1).sum())} images."
        return Examination((), (finding,), (), 0 if images is None else len(batch))
    progress(1, total)
    layers = tuple(_layers(classifier, np.asarray(batch)))
    progress(2, total)
    trials = []
    for number, analysis in enumerate(analyses.values(), start=3):
        trials.append(_tried(analysis, classifier, batch))
        progress(number, total)
    findings = [*_guesses(classifier), *_range(classifier, expected, np.asarray(batch), known=images is not None)]
    findings += _saturation(classifier, logits) if images is not None and classifier.head != "values" else []
    findings += [*_flat(classifier, batch), *bit_depth.misread(batch.sources), *_resizing(classifier, batch, logits)]
    findings += _dead(layers, len(batch))
    return Examination(layers, tuple(findings), tuple(trials), 0 if images is None else len(batch), expected)


def _layers(classifier: Classifier, images: Floats) -> Iterator[LayerReport]:
    alive: dict[str, Array] = {}
    names = [layer.name for layer in classifier.layers if layer.shape]
    for chunk in classifier.slices(len(images)):
        for name, output in classifier.activations(images[chunk], names).items():
            here = (output != 0).reshape(-1, output.shape[-1]).any(axis=0)
            alive[name] = alive.get(name, here) | here
    for layer in classifier.layers:
        field, unknown, refused = None, "", ""
        rules: list[str] = []
        if layer.maps:
            try:
                field = classifier.receptive_field(layer.name)
            except ModelError as error:
                unknown = str(error)
            for rule in ("guided", "deconvnet"):
                try:
                    classifier.describe_rule(layer.name, rule)
                    rules.append(rule)
                except ModelError as error:
                    refused = refused or str(error)
        silent = int((~alive[layer.name]).sum()) if layer.shape else 0
        yield LayerReport(layer, field, unknown, tuple(rules), refused, silent)


def _tried(analysis: Analysis, classifier: Classifier, batch: ImageBatch) -> Trial:
    asked: dict[str, Any] = dict(analysis.trial)
    shown = batch[:1] if "images" in analysis.inputs else None
    # Not the whole of MNIST, where a few images will do.
    if "dataset" in analysis.inputs and shown is not None:
        asked["dataset"] = batch
    try:
        record = explain(analysis.name, classifier, shown, **asked)
    except CnnExplainError as error:
        return Trial(analysis.name, False, (str(error),))
    # What it warns of may come from how little it was given to do.
    given = ", ".join(
        f"{option.flag} {analysis.trial[option.name]}" for option in analysis.options if option.name in analysis.trial
    )
    return Trial(analysis.name, True, tuple(f"With {given}: {each}" if given else each for each in record.warnings))


def _guesses(classifier: Classifier) -> Iterator[str]:
    preprocess = classifier.preprocess
    if "range" in preprocess.assumed and preprocess.bands is not None:
        yield (
            "The range of the input is unknown: the model is given the numbers of the files as they are. If it was "
            "trained otherwise, say so with --input-scale, --input-mean and --input-std, or in a sidecar."
        )
    elif "range" in preprocess.assumed:
        yield (
            f"The range of the input is unknown: pixels are scaled to {preprocess.low:g} to {preprocess.high:g}. If the "
            "model was trained otherwise, every explanation is of another input; say it with --input-scale, --input-mean "
            "and --input-std, or in a sidecar."
        )
    if "size" in preprocess.assumed:
        yield (
            f"The model leaves the size of its input open: {preprocess.height}×{preprocess.width} was taken. "
            "Give the size that it was trained on with --input-size."
        )
    if not classifier.certain:
        yield (
            "The model ends without a softmax or sigmoid, and its outputs were taken for scores before a "
            f"{classifier.head}. If they are, say so with --logits; if they are other numbers, with --values."
        )
    if classifier.doubt is not None:
        yield classifier.doubt


def _range(classifier: Classifier, expected: Range | None, images: Floats, *, known: bool) -> Iterator[str]:
    """Whether the input range is what the model's own layers expect."""
    preprocess = classifier.preprocess
    if expected is not None:
        slack = FIT * (expected.high - expected.low)
        if abs(preprocess.low - expected.low) > slack or abs(preprocess.high - expected.high) > slack:
            yield (
                f"The model expects pixels from {expected.low:g} to {expected.high:g} ({expected}), but its input is given "
                f"from {preprocess.low:.4g} to {preprocess.high:.4g}: it does not fit. "
                f"{RANGE_OPTIONS[expected.low, expected.high]} would."
            )
    first = classifier.first_normalization
    if first is None or not known or preprocess.bands is not None:
        return
    source, mean, variance = first
    pictures = preprocess.decode(images)

    def distance(as_given: Any) -> float:
        """How far the channels are from the normals that the layer learned: the median Kullback-Leibler divergence, nats."""
        given = as_given.encode(pictures)
        seen = classifier.activations(given, [source])[source].astype(np.float64).reshape(-1, len(mean))
        ratio = np.maximum(seen.var(axis=0), 1e-12) / variance
        shift = (seen.mean(axis=0) - mean) ** 2 / variance
        return float(np.median(ratio + shift - 1 - np.log(ratio)) / 2)

    here = distance(preprocess)
    if here <= FAR:
        return
    fitting = {
        words: distance(replace(preprocess, **fields))
        for words, fields in RANGES.items()
        if preprocess.channels == 3 or len(fields["mean"]) == 1
    }
    best = min(fitting, key=lambda words: fitting[words])
    if fitting[best] < NEAR:
        yield (
            f"The input range may not be the one of the training: the normalization after '{source}' learned from other "
            f"numbers than it is given ({here:.2g} nats apart); with {best} they would agree ({fitting[best]:.2g})."
        )


def _resizing(classifier: Classifier, batch: ImageBatch, logits: Floats) -> Iterator[str]:
    """Whether the predictions depend on how the images were resized, which nothing in a model tells."""
    preprocess = classifier.preprocess
    places = [place for place, source in enumerate(batch.sources) if source.resized and Path(source.name).is_file()][
        :RESIZED
    ]
    if preprocess.digits or classifier.head == "values" or not places:
        return
    for words, fields in RESIZINGS.items():
        other = replace(preprocess, **fields)
        if (other.samples, other.interpolation) == (preprocess.samples, preprocess.interpolation):
            continue
        given = [read(source.name, other, source.inverted)[0] for source in (batch.sources[place] for place in places)]
        changed = classifier.logits(np.stack(given)).argmax(axis=1) != logits[places].argmax(axis=1)
        if changed.any():
            yield f"Resized {words.format(f'{changed.sum()} of {len(places)} images are predicted to be of another class')}."


def _saturation(classifier: Classifier, logits: Floats) -> Iterator[str]:
    largest = classifier.probabilities(logits.astype(np.float64)).max(axis=1)
    sure = int((1 - largest < SURE).sum())
    if 2 * sure > len(logits):
        yield (
            f"The {classifier.head} saturates: for {sure} of {len(logits)} images the probability is 1 to six digits, where "
            "hiding or changing a part of the image hardly shows in it. Read the logits, not the probabilities."
        )


def _flat(classifier: Classifier, batch: ImageBatch) -> Iterator[str]:
    images = np.asarray(batch[:1])
    try:
        gradient = classifier.gradient(images, classifier.logits(images).argmax(axis=1))
    except ModelError as error:
        yield str(error)
        return
    if not np.isfinite(gradient).all():
        yield "The gradient of the prediction's score is not finite."
    elif not gradient.any():
        yield "The gradient of the prediction's score is zero everywhere, so whatever is made of gradients shows nothing."


def _dead(layers: Sequence[LayerReport], images: int) -> Iterator[str]:
    dead = [report for report in layers if report.silent > MANY * report.layer.shape[-1]] if images >= ENOUGH else []
    if dead:
        named = ", ".join(f"{report.silent} of {report.layer.shape[-1]} in '{report.layer.name}'" for report in dead[:8])
        more = f" and in {len(dead) - 8} more layers" if len(dead) > 8 else ""
        yield f"Channels that are zero for all {images} images: {named}{more}."
