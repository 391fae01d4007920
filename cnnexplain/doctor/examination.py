"""Examines a model with images, and tries every installed analysis on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnexplain.doctor import input_findings, network_findings
from cnnexplain.doctor.reports import Examination, LayerReport, Trial
from cnnexplain.errors import CnnExplainError, ModelError
from cnnexplain.inputs import bit_depth
from cnnexplain.inputs.images import ImageBatch, as_batch
from cnnexplain.loading.infer_preprocess import expected_range
from cnnexplain.model.classifier import Classifier
from cnnexplain.pipeline.explain import explain
from cnnexplain.plugin import registry
from cnnexplain.plugin.analysis import Analysis

if TYPE_CHECKING:
    from jaxtyping import Bool, Float32


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
    count = 0 if images is None else len(batch)
    expected = expected_range(classifier.model, classifier.preprocess.shape, classifier.inputs)
    analyses = registry.load().analyses
    total = 2 + len(analyses)
    logits = classifier.logits(np.asarray(batch))
    if not np.isfinite(logits).all():
        finding = f"The scores are not finite (NaN or infinity) for {int((~np.isfinite(logits)).any(axis=1).sum())} images."
        return Examination((), (finding,), (), count)
    progress(1, total)
    layers = tuple(_layer_reports(classifier, np.asarray(batch)))
    progress(2, total)
    trials = []
    for number, analysis in enumerate(analyses.values(), start=3):
        trials.append(_try_analysis(analysis, classifier, batch))
        progress(number, total)
    findings = [*input_findings.assumptions(classifier)]
    findings += input_findings.input_range(classifier, expected, np.asarray(batch), real=images is not None)
    findings += network_findings.saturation(classifier, logits) if count and classifier.head != "values" else []
    findings += network_findings.gradient(classifier, batch)
    findings += bit_depth.misread(batch.sources)
    findings += input_findings.resizing(classifier, batch, logits)
    findings += network_findings.dead_channels(layers, len(batch))
    return Examination(layers, tuple(findings), tuple(trials), count, expected)


def _layer_reports(classifier: Classifier, images: Float32[np.ndarray, "N H W C"]) -> Iterator[LayerReport]:
    active = _active_channels(classifier, images)
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
        silent = int((~active[layer.name]).sum()) if layer.shape else 0
        yield LayerReport(layer, field, unknown, tuple(rules), refused, silent)


def _active_channels(classifier: Classifier, images: Float32[np.ndarray, "N H W C"]) -> dict[str, Bool[np.ndarray, " _"]]:
    """Which channels (F,) of each layer are not zero for at least one image, by the name of the layer."""
    result: dict[str, Bool[np.ndarray, " _"]] = {}
    names = [layer.name for layer in classifier.layers if layer.shape]
    for part in classifier.slices(len(images)):
        for name, output in classifier.activations(images[part], names).items():
            active = (output != 0).reshape(-1, output.shape[-1]).any(axis=0)
            result[name] = result.get(name, active) | active
    return result


def _try_analysis(analysis: Analysis, classifier: Classifier, batch: ImageBatch) -> Trial:
    options: dict[str, Any] = dict(analysis.trial)
    image = batch[:1] if "images" in analysis.inputs else None
    # The given images instead of all of MNIST, to save time.
    if "dataset" in analysis.inputs and image is not None:
        options["dataset"] = batch
    try:
        record = explain(analysis.name, classifier, image, **options)
    except CnnExplainError as error:
        return Trial(analysis.name, False, (str(error),))
    # A warning may be due to the few steps of the trial.
    flags = ", ".join(
        f"{option.flag} {analysis.trial[option.name]}" for option in analysis.options if option.name in analysis.trial
    )
    return Trial(analysis.name, True, tuple(f"With {flags}: {each}" if flags else each for each in record.warnings))
