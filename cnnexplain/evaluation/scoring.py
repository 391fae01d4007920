"""Computes a metric for the maps of one image, and checks its scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnexplain.errors import ModelError, PluginError, failure, foreign, shown
from cnnexplain.evaluation.generators import generator
from cnnexplain.model.classifier import Classifier
from cnnexplain.plugin.metric import Metric
from cnnexplain.plugin.registry import Plugin

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Float32, Float64


@dataclass(frozen=True)
class Sample:
    """An image with the maps of all methods that have one.

    Args:
        image: (H, W, C) in the model's input range.
        target: The index of the class or value that the maps explain.
        maps: (M, H, W), raw and signed.
        mask: (H, W), the relevant pixels; None if unknown.
        explain: Computes the maps again; see `cnnexplain.plugin.Metric`.
    """

    image: Float32[np.ndarray, "H W C"]
    target: int
    maps: Float64[np.ndarray, "M H W"]
    mask: Bool[np.ndarray, "H W"] | None
    explain: Callable[..., Float64[np.ndarray, "M n H W"]]


@dataclass(frozen=True)
class Outcome:
    """The scores for one image.

    Args:
        place: The index of the image among all given images.
        name: The name of the image.
        target: The class or value that was explained.
        scores: The scores (M,) by metric and score, without metrics that are not defined or failed; NaN for methods that
            failed.
        warnings: Warnings by method.
        undefined: Why a metric is not defined for the image, by metric.
        errors: Why a metric failed, by metric: it broke its contract, or there was not enough memory.
        failed: Why a method has no map, by method.
        pictures: The image and the map of each method as PNG in Base64, "" for a method without a map; empty if they are
            not drawn.
        mask: The relevant pixels as PNG in Base64, "" if there is no mask or nothing is drawn.
    """

    place: int
    name: str
    target: int
    scores: Mapping[str, Mapping[str, Float64[np.ndarray, " M"]]]
    warnings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    undefined: Mapping[str, str] = field(default_factory=dict)
    errors: Mapping[str, str] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)
    pictures: tuple[str, ...] = ()
    mask: str = ""


def scores(
    metric: Metric, plugin: Plugin, classifier: Classifier, sample: Sample, seed: int
) -> dict[str, Float64[np.ndarray, " M"]]:
    """The scores of the maps, by name; NaN where a score is undefined.

    Raises:
        PluginError: The metric failed, or broke its contract.
        ModelError: There is not enough memory.
        UsageError: The metric is not defined for the model.
    """
    available: dict[str, Any] = {
        "maps": sample.maps,
        "image": sample.image,
        "target": sample.target,
        "mask": sample.mask,
        "classifier": classifier,
        "evaluate": evaluator(classifier, sample.target),
        "explain": sample.explain,
        "random": generator(seed, sample.image, metric.name),
    }
    prefix = f"{plugin}: run() of the metric '{metric.name}'"
    try:
        with foreign(lambda error: PluginError(f"{prefix} failed: {failure(error, metric.run)}"), MemoryError):
            found = metric.run(*(available[name] for name in metric.inputs))
    except MemoryError as error:
        raise ModelError(f"There is not enough memory for '{metric.name}' of '{classifier.name}'.") from error
    if not isinstance(found, Mapping) or set(found) != set(metric.scores):
        names = shown(list(found)) if isinstance(found, Mapping) else shown(found)
        raise PluginError(f"{prefix} returned {names}; expected a dict with {', '.join(map(repr, metric.scores))}.")
    return {name: _checked(prefix, name, found[name], len(sample.maps)) for name in metric.scores}


def _checked(prefix: str, name: str, values: object, count: int) -> Float64[np.ndarray, " M"]:
    if not isinstance(values, np.ndarray) or values.shape != (count,) or values.dtype.kind not in "biuf":
        raise PluginError(f"{prefix} returned {shown(values)} as '{name}'; expected {count} real numbers, one for each map.")
    if np.isinf(values).any():
        raise PluginError(f"{prefix} returned an infinite '{name}'; expected NaN where a score is undefined.")
    return values.astype(np.float64)


def evaluator(
    classifier: Classifier, target: int
) -> Callable[[int, Callable[[slice], Float[np.ndarray, "n H W C"]]], dict[str, Float64[np.ndarray, " K"]]]:
    """The input `evaluate` of a metric; see `cnnexplain.plugin.Metric`."""

    def evaluate(count: int, make: Callable[[slice], Float[np.ndarray, "n H W C"]]) -> dict[str, Float64[np.ndarray, " K"]]:
        outputs = {name: np.full(count, np.nan) for name in ("probability", "logit")}
        for part in classifier.slices(count):
            logits = classifier.logits(np.asarray(make(part), np.float32))
            outputs["logit"][part] = logits[:, target]
            if classifier.head != "values":
                outputs["probability"][part] = classifier.probabilities(logits)[:, target]
        return outputs

    return evaluate
