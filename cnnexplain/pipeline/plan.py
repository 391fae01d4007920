"""The order and the options of several analyses, and an estimate of their run time."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnexplain.interruption import check_interrupted
from cnnexplain.plugin.options import validate

if TYPE_CHECKING:
    from cnnexplain.model.classifier import Classifier
    from cnnexplain.plugin.analysis import Analysis

BATCH, TIMED = 8, 5_000_000
"""The number of images for timing a forward pass: more than this, up to a full batch, as long as their layers have no more
outputs than `TIMED`. In a larger batch, a small network takes much less time per image."""

REPEATS = 2
"""How often it is timed."""

START, PICTURE = 1.0, 0.6
"""Seconds in addition to the passes: for compilation, and for drawing and writing a picture."""


@dataclass(frozen=True)
class Step:
    """A planned run of an analysis.

    Args:
        analysis: The analysis.
        options: All of its options, with their checked values.
        images: The number of images.
        passes: The number of passes for all images, where a forward pass counts 1; None if unknown.
    """

    analysis: Analysis
    options: Mapping[str, Any]
    images: int
    passes: float | None

    def seconds(self, a_pass: float) -> float:
        """The estimated seconds if a pass takes `a_pass` seconds; without the passes if their number is unknown."""
        return START + PICTURE * max(self.images, 1) + a_pass * (self.passes or 0)


def steps(
    analyses: Sequence[Analysis], classifier: Classifier, images: int, *, quick: bool, control: bool = False
) -> list[Step]:
    """The analyses in the order in which they run: few passes first, unknown numbers of passes last.

    Args:
        analyses: The analyses.
        classifier: The model.
        images: Number of images to explain.
        quick: Whether to use the options of `Analysis.quick` instead of the defaults.
        control: Whether analyses with a map also explain the network with shuffled weights.
    """
    planned = [
        plan_run(each, validate(each.options, each.quick if quick else {}), classifier, images, control=control)
        for each in analyses
    ]
    return sorted(planned, key=lambda step: math.inf if step.passes is None else step.passes)


def plan_run(
    analysis: Analysis, options: Mapping[str, Any], classifier: Classifier, images: int, *, control: bool = False
) -> Step:
    """The planned run of an analysis with these options, twice if it has a control."""
    # Analyses of the model itself with objectives explain the classes of the images.
    count = images if {"images", "objectives"} & set(analysis.inputs) else 0
    passes = passes_of(analysis, classifier, options)
    if passes is not None and control and analysis.maps:
        passes *= 2
    return Step(analysis, options, count, None if passes is None else passes * max(count, 1))


def passes_of(analysis: Analysis, classifier: Classifier, options: Mapping[str, Any]) -> float | None:
    """The number of passes for an image, where a forward pass counts 1; None if unknown."""
    if analysis.passes is None:
        return None
    try:
        passes = float(analysis.passes(classifier, options))
    # A plugin may raise any error, but can still run without an estimate; `check-plugin` reports the error.
    except BaseException as error:  # noqa: BLE001
        check_interrupted(error)
        return None
    return passes if math.isfinite(passes) else None


def measured(classifier: Classifier) -> float:
    """The seconds of a forward pass per image, after compilation."""
    preprocess = classifier.preprocess
    count = min(max(BATCH, TIMED // classifier.activation_count), classifier.batch_size)
    images = np.full((count, *preprocess.shape), preprocess.gray, np.float32)
    classifier.predict(images)
    seconds = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        classifier.predict(images)
        seconds.append(time.perf_counter() - started)
    # Whatever else the machine does only adds time.
    return min(seconds) / len(images)


def estimate(planned: Sequence[Step], a_pass: float) -> str:
    """A sentence with the estimated run time of the steps."""
    unknown = [step.analysis.name for step in planned if step.passes is None]
    count = f"{len(planned)} analys{'is' if len(planned) == 1 else 'es'}"
    if len(unknown) == len(planned):
        return f"Running {count}; no estimate of the time is available."
    seconds = sum(step.seconds(a_pass) for step in planned if step.passes is not None)
    rest = f", plus an unknown time for {', '.join(unknown)}" if unknown else ""
    return f"Running {count}: about {duration(seconds)}{rest}."


def duration(seconds: float) -> str:
    """A duration as text, rounded to 5 seconds, minutes or tenths of an hour."""
    if seconds < 90:
        return f"{max(5 * round(seconds / 5), 5)} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes / 60:.1f} hours"
