"""Examines a model and its input settings for problems: `cnnexplain doctor`."""

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
"""Probabilities closer to 1 than this count as saturated: changes of the image hardly change them."""

ENOUGH, MANY = 16, 1 / 3
"""A layer is reported if more than the share `MANY` of its channels are zero for all of at least `ENOUGH` images."""

FAR, NEAR = 0.5, 0.1
"""A normalization layer is reported if its inputs differ from its training statistics by more than `FAR` nats and another
input range would bring the difference below `NEAR`."""

FIT = 0.1
"""Tolerance for the ends of the input range, relative to the range that the model expects."""

RANGE_OPTIONS = {
    PIXELS: "--input-scale 1 --input-mean 0 --input-std 1",
    SHARES: "--input-scale 1/255 --input-mean 0 --input-std 1",
    SIGNED: "--input-scale 1/127.5 --input-mean 1 --input-std 1",
}
"""The options for the ranges that `expected_range` can infer."""

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
"""The input ranges of the models in Keras Applications, by the options that set them."""

RESIZED = 64
"""Maximum number of images that are resized in other ways."""

RESIZINGS: dict[str, dict[str, Any]] = {
    "without anti-aliasing, like image_dataset_from_directory of Keras, {}. If the model was trained on such images, use "
    "--input-antialias false (`antialias` in a sidecar)": {"antialias": False},
    "with anti-aliasing, {}. If the model was trained on such images, use --input-antialias true --input-interpolation "
    "bilinear": {
        "antialias": True,
        "interpolation": "bilinear",
    },
    "to the nearest pixels, like load_img(target_size=…) of Keras, {}. If the model was trained on such images, use "
    "--input-antialias true --input-interpolation nearest": {"antialias": True, "interpolation": "nearest"},
}
"""Other ways to resize images, by their description."""


@dataclass(frozen=True)
class LayerReport:
    """Properties of a layer.

    Args:
        layer: The layer.
        field: The receptive field of its units; None if it has no feature maps or if the field is unknown.
        unknown: Why the receptive field is unknown, or "".
        rules: The rules of `deconvnet` that can project its feature maps to the pixels; () if it has no feature maps.
        refused: Why some of the rules can't, or "".
        silent: Number of channels that are zero for all images.
    """

    layer: Layer
    field: Field | None
    unknown: str
    rules: tuple[str, ...]
    refused: str
    silent: int


@dataclass(frozen=True)
class Trial:
    """The outcome of running an analysis on one image with few steps.

    Args:
        analysis: The name of the analysis.
        works: Whether it returned a result.
        remarks: The error, or the warnings of the result.
    """

    analysis: str
    works: bool
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class Examination:
    """The outcome of `examine`.

    Args:
        layers: The layers in the order of computation.
        findings: Problems, each with a remedy.
        trials: One for every installed analysis.
        images: Number of images used; 0 for noise.
        expected: The pixel range that the model's first operations expect; None if they do not determine it.
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
    """Examines a model, and tries every installed analysis on the first image.

    Args:
        classifier: The model, from `cnnexplain.load`.
        images: As for `cnnexplain.explain`; more images make the checks more reliable. None uses noise.
        progress: Called with the amount of work done, and the total.

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
        finding = f"The scores are not finite (NaN or infinity) for {int((~np.isfinite(logits)).any(axis=1).sum())} images."
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
            active = (output != 0).reshape(-1, output.shape[-1]).any(axis=0)
            alive[name] = alive.get(name, active) | active
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
    # The given images instead of all of MNIST, to save time.
    if "dataset" in analysis.inputs and shown is not None:
        asked["dataset"] = batch
    try:
        record = explain(analysis.name, classifier, shown, **asked)
    except CnnExplainError as error:
        return Trial(analysis.name, False, (str(error),))
    # A warning may be due to the few steps of the trial.
    given = ", ".join(
        f"{option.flag} {analysis.trial[option.name]}" for option in analysis.options if option.name in analysis.trial
    )
    return Trial(analysis.name, True, tuple(f"With {given}: {each}" if given else each for each in record.warnings))


def _guesses(classifier: Classifier) -> Iterator[str]:
    preprocess = classifier.preprocess
    if "range" in preprocess.assumed and preprocess.bands is not None:
        yield (
            "The model's input range is unknown: the values of the files are used unchanged. If the model was trained with "
            "another range, set it with --input-scale, --input-mean and --input-std, or in a sidecar."
        )
    elif "range" in preprocess.assumed:
        yield (
            f"The model's input range is unknown: pixels are scaled to {preprocess.low:g} to {preprocess.high:g}. If the "
            "model was trained with another range, all explanations are wrong; set it with --input-scale, --input-mean "
            "and --input-std, or in a sidecar."
        )
    if "size" in preprocess.assumed:
        yield (
            f"The model accepts inputs of any size: {preprocess.height}×{preprocess.width} was assumed. "
            "Set the size that it was trained with by --input-size."
        )
    if not classifier.certain:
        yield (
            "The model ends without a softmax or sigmoid: its outputs are assumed to be scores before a "
            f"{classifier.head}. Confirm with --logits; if they are other numbers, use --values."
        )
    if classifier.doubt is not None:
        yield classifier.doubt


def _range(classifier: Classifier, expected: Range | None, images: Floats, *, known: bool) -> Iterator[str]:
    """Compares the input range with the one that the model's own layers expect."""
    preprocess = classifier.preprocess
    if expected is not None:
        slack = FIT * (expected.high - expected.low)
        if abs(preprocess.low - expected.low) > slack or abs(preprocess.high - expected.high) > slack:
            yield (
                f"The model expects pixels from {expected.low:g} to {expected.high:g} ({expected}), but they are scaled to "
                f"{preprocess.low:.4g} to {preprocess.high:.4g}. Use {RANGE_OPTIONS[expected.low, expected.high]}."
            )
    first = classifier.first_normalization
    if first is None or not known or preprocess.bands is not None:
        return
    source, mean, variance = first
    pictures = preprocess.decode(images)

    def distance(as_given: Any) -> float:
        """Median Kullback-Leibler divergence of the channels from the training statistics, in nats."""
        given = as_given.encode(pictures)
        seen = classifier.activations(given, [source])[source].astype(np.float64).reshape(-1, len(mean))
        ratio = np.maximum(seen.var(axis=0), 1e-12) / variance
        shift = (seen.mean(axis=0) - mean) ** 2 / variance
        return float(np.median(ratio + shift - 1 - np.log(ratio)) / 2)

    current = distance(preprocess)
    if current <= FAR:
        return
    fitting = {
        words: distance(replace(preprocess, **fields))
        for words, fields in RANGES.items()
        if preprocess.channels == 3 or len(fields["mean"]) == 1
    }
    best = min(fitting, key=lambda words: fitting[words])
    if fitting[best] < NEAR:
        yield (
            f"The input range may differ from the one in training: the inputs of the normalization after '{source}' do not "
            f"match its training statistics (divergence {current:.2g} nats); they do with {best} ({fitting[best]:.2g} nats)."
        )


def _resizing(classifier: Classifier, batch: ImageBatch, logits: Floats) -> Iterator[str]:
    """Checks whether predictions depend on how the images are resized, which a model does not record."""
    preprocess = classifier.preprocess
    places = [place for place, source in enumerate(batch.sources) if source.resized and Path(source.name).is_file()][
        :RESIZED
    ]
    if preprocess.preset is not None or classifier.head == "values" or not places:
        return
    for words, fields in RESIZINGS.items():
        other = replace(preprocess, **fields)
        if (other.samples, other.interpolation) == (preprocess.samples, preprocess.interpolation):
            continue
        given = [read(source.name, other, source.inverted)[0] for source in (batch.sources[place] for place in places)]
        changed = classifier.logits(np.stack(given)).argmax(axis=1) != logits[places].argmax(axis=1)
        if changed.any():
            yield f"Resized {words.format(f'{changed.sum()} of {len(places)} images change class')}."


def _saturation(classifier: Classifier, logits: Floats) -> Iterator[str]:
    largest = classifier.probabilities(logits.astype(np.float64)).max(axis=1)
    sure = int((1 - largest < SURE).sum())
    if 2 * sure > len(logits):
        yield (
            f"The {classifier.head} saturates: for {sure} of {len(logits)} images the probability is 1 to six digits, "
            "so hiding or changing a part of the image hardly changes it. Read the logits instead of the probabilities."
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
        yield "The gradient of the prediction's score is zero everywhere, so methods based on gradients show nothing."


def _dead(layers: Sequence[LayerReport], images: int) -> Iterator[str]:
    dead = [report for report in layers if report.silent > MANY * report.layer.shape[-1]] if images >= ENOUGH else []
    if dead:
        named = ", ".join(f"{report.silent} of {report.layer.shape[-1]} in '{report.layer.name}'" for report in dead[:8])
        more = f" and in {len(dead) - 8} more layers" if len(dead) > 8 else ""
        yield f"Channels that are zero for all {images} images: {named}{more}."
