"""Checks of what `run` of an analysis returns, and of what it leaves unchanged."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnexplain.errors import PluginError, failure, foreign, shown
from cnnexplain.plugin.analysis import Analysis
from cnnexplain.plugin.options import validate
from cnnexplain.testing import comparison
from cnnexplain.testing.check import is_sentence
from cnnexplain.verification.comparison import array_difference, fact_difference

if TYPE_CHECKING:
    from cnnexplain.testing.candidate import Candidate

LONG_RUN = 1100
"""The number of passes through the network for an image above which the declared checks run with the trial options."""


def check_results(candidate: Candidate) -> None:
    """The result has arrays, and its warnings are sentences."""
    record = candidate.record
    if not record.arrays:
        raise PluginError("Its result has no arrays; expected the numbers that its pictures show.")
    for warning in record.warnings:
        if not is_sentence(warning):
            raise PluginError(f"Its result has the warning {shown(warning)}; expected a sentence, since users read it.")


def check_maps(candidate: Candidate) -> None:
    """Every name in `Analysis.maps` is the name of an array."""
    arrays = candidate.record.arrays
    for name in candidate.analysis.maps:
        if name not in arrays:
            raise PluginError(f"Its maps include '{name}', but run() returns {', '.join(arrays)}. Name one of these arrays.")


def check_images(candidate: Candidate) -> None:
    """`run` does not modify the images."""
    if not np.array_equal(candidate.record.images, candidate.images):
        raise PluginError("run() changed the images; expected them unchanged. Work on images.copy().")


def check_model(candidate: Candidate) -> None:
    """`run` does not modify the model."""
    changes = [change for trial in candidate.trials.values() for change in trial.changes]
    if changes:
        raise PluginError(
            f"It changed the user's model: {', '.join(changes[:5])}. Expected no change; work on a copy, for example from "
            "keras.models.clone_model."
        )


def check_repeats(candidate: Candidate) -> None:
    """A second run gives the same result."""
    record, repeated = candidate.record, candidate.explain(candidate.lenet, candidate.images)
    difference = _difference(repeated.arrays, repeated.facts, record.arrays, record.facts, candidate.tolerance)
    if difference:
        raise PluginError(
            f"A second run on the same images gives another result: {difference}. Expected the same result; draw random "
            "numbers from numpy.random.default_rng(seed) with the seed as an option, and keep no state between runs."
        )


def check_neighbors(candidate: Candidate) -> None:
    """The result for an image does not depend on the other images."""
    images = candidate.images
    # The runs start at the second image, and therefore get no data set.
    record, reordered = (candidate.explain(candidate.lenet, images[order], start=1) for order in ([0, 1, 2], [2, 1, 0]))
    difference = _difference(
        comparison.first_image(record.arrays),
        comparison.first_image(record.facts),
        comparison.first_image(reordered.arrays),
        comparison.first_image(reordered.facts),
        candidate.tolerance,
    )
    if difference:
        raise PluginError(
            f"The result for an image depends on the other images: {difference}. Expected independent results; take maxima "
            "and means over the axes of a single image, and leave normalization to draw()."
        )


def check_batch(candidate: Candidate) -> None:
    """A batch gives the same results as single images."""
    images, record = candidate.images, candidate.record
    for index in range(len(images)):
        single = candidate.explain(candidate.lenet, images[[0, index]], start=1)
        difference = _difference(
            comparison.first_image(single.arrays),
            comparison.first_image(single.facts),
            {name: record.arrays[name][index] for name in single.arrays},
            {name: record.facts[name][index] for name in single.facts},
            candidate.tolerance,
        )
        if difference:
            raise PluginError(
                f"A single image gives another result than the same image in a batch: {difference}. Expected the same "
                f"within {candidate.tolerance:g} of the largest value; results must not depend on the number of images or "
                "the index of an image, so draw random numbers for one image and use them for all."
            )


def check_definition(candidate: Candidate) -> None:
    """The checks in `Analysis.checks` pass for the first image, with the default options unless these take long."""
    from cnnexplain.pipeline import plan
    from cnnexplain.verification.subjects import image_objectives, subjects
    from cnnexplain.verification.verify import check_row

    analysis = candidate.analysis
    passes = plan.steps([analysis], candidate.lenet, 1, quick=False)[0].passes or 0
    defaults = {option.name: option.default for option in analysis.options if option.name in analysis.trial}
    options = {} if passes > LONG_RUN else defaults
    record = candidate.explain(candidate.lenet, candidate.images[:1], options=options)
    found = subjects(record, candidate.lenet, image_objectives(record, candidate.lenet, None, None))
    for check in analysis.checks:
        row = check_row("definition", check, found)
        if row.passed is False:
            compared = f" It measured {row.value}, above the limit {row.limit}." if row.value else ""
            raise PluginError(f"Its check '{check.name}' fails: {row.shown.detail}.{compared} It means: {check.meaning}")


def check_target(candidate: Candidate) -> None:
    """Different targets give different results."""
    first, second = (candidate.explain(candidate.lenet, candidate.images[:1], target=target) for target in (0, 1))
    if comparison.same_numbers(first, second):
        raise PluginError(
            "Explaining class 0 and class 1 gives the same numbers; expected different ones. Use the targets or objectives "
            "in run(), or remove the parameter."
        )


def check_passes(candidate: Candidate) -> None:
    """`Analysis.passes` returns a positive number."""
    analysis = candidate.analysis
    assert analysis.passes is not None
    for options in ({}, analysis.quick, analysis.trial):
        # A plugin may raise anything.
        with foreign(partial(_passes_failed, analysis)):
            count = analysis.passes(candidate.lenet, validate(analysis.options, options))
        if isinstance(count, bool) or not isinstance(count, int | float) or not 0 < count < math.inf:
            raise PluginError(
                f"passes() returned {shown(count)} for the options {dict(options)}; expected a number above 0."
            )


def _passes_failed(analysis: Analysis, error: BaseException) -> PluginError:
    assert analysis.passes is not None
    return PluginError(f"passes() failed: {failure(error, analysis.passes)}")


def _difference(
    arrays: Mapping[str, Any],
    facts: Mapping[str, Any],
    expected_arrays: Mapping[str, Any],
    expected_facts: Mapping[str, Any],
    tolerance: float,
) -> str:
    """Describes the first difference of arrays and facts from the expected ones; empty if there is none."""
    difference = array_difference(arrays, expected_arrays, tolerance)
    return difference or fact_difference(facts, expected_facts, tolerance)
