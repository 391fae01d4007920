"""The order and the options in which several analyses are run, and an estimate of the time."""

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

BATCH = 8
"""How many images are passed at once to measure a pass."""

START, PICTURE = 1.0, 0.6
"""Seconds in addition to the passes: of compiling, and of drawing and writing a picture."""


@dataclass(frozen=True)
class Step:
    """An analysis that is to be run.

    Args:
        analysis: The analysis.
        options: All of its options, with their checked values.
        images: The number of images.
        passes: The number of passes for all of them, a forward pass counting 1; None where it isn't known.
    """

    analysis: Analysis
    options: Mapping[str, Any]
    images: int
    passes: float | None

    def seconds(self, a_pass: float) -> float:
        """The seconds that it takes where a pass takes `a_pass`; without the passes where their number is unknown."""
        return START + PICTURE * max(self.images, 1) + a_pass * (self.passes or 0)


def steps(analyses: Sequence[Analysis], classifier: Classifier, images: int, *, quick: bool) -> list[Step]:
    """The analyses in the order in which they are run: few passes first, unknown numbers of passes last.

    Args:
        analyses: The analyses.
        classifier: The model.
        images: How many images are explained.
        quick: Whether they are run with the options of `Analysis.quick` instead of their defaults.
    """
    found = []
    for analysis in analyses:
        options = validate(analysis.options, analysis.quick if quick else {})
        # Those of the model alone that take objectives show the classes of the images.
        count = images if {"images", "objectives"} & set(analysis.inputs) else 0
        passes = _passes(analysis, classifier, options)
        found.append(Step(analysis, options, count, None if passes is None else passes * max(count, 1)))
    return sorted(found, key=lambda step: math.inf if step.passes is None else step.passes)


def _passes(analysis: Analysis, classifier: Classifier, options: Mapping[str, Any]) -> float | None:
    if analysis.passes is None:
        return None
    try:
        passes = float(analysis.passes(classifier, options))
    # A plugin may fail in any way, but can still be run without an estimate; `check-plugin` reports the error.
    except BaseException as error:  # noqa: BLE001
        check_interrupted(error)
        return None
    return passes if math.isfinite(passes) else None


def measured(classifier: Classifier) -> float:
    """The seconds that a forward pass takes for an image, once the network is compiled."""
    preprocess = classifier.preprocess
    images = np.full((min(BATCH, classifier.batch_size), *preprocess.shape), preprocess.gray, np.float32)
    classifier.predict(images)
    started = time.perf_counter()
    classifier.predict(images)
    return (time.perf_counter() - started) / len(images)


def estimate(planned: Sequence[Step], a_pass: float) -> str:
    """A sentence on how long the steps will take."""
    unknown = [step.analysis.name for step in planned if step.passes is None]
    count = f"{len(planned)} analys{'is' if len(planned) == 1 else 'es'}"
    if len(unknown) == len(planned):
        return f"Running {count}; how long that takes is not known."
    known = sum(step.seconds(a_pass) for step in planned if step.passes is not None)
    rest = f", and longer for {', '.join(unknown)}" if unknown else ""
    return f"Running {count}: about {_duration(known)}{rest}."


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(5 * round(seconds / 5), 5)} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes / 60:.1f} hours"
