"""An estimate of the time that the checks of a result take, before it exists."""

from __future__ import annotations

from cnnexplain.checks.costs import BUDGET
from cnnexplain.checks.random_weights import DEPTHS, SAMPLES
from cnnexplain.model.classifier import Classifier
from cnnexplain.pipeline import plan
from cnnexplain.pipeline.plan import Step
from cnnexplain.verification.stability import SEEDS

START, A_LAYER = 0.5, 0.03
"""Seconds to compile the network for the checks: at least, and for each layer. Most of it is for the shuffled network,
a copy that all checks share."""


def seconds(step: Step, classifier: Classifier, a_pass: float) -> float:
    """The estimated seconds of the checks of a planned run if a pass through the network takes `a_pass` seconds.

    It counts the runs of the analysis that the checks of stability and of the network make. An unknown number of passes is
    taken for a single one, as for the limit of what a check may cost.
    """
    analysis, takes = step.analysis, set(step.analysis.inputs)
    images = step.images if "images" in takes else 1
    # The control is not part of the checks.
    passes = plan.passes_of(analysis, classifier, step.options) or 1.0

    def most(*counts: int) -> int:
        """The largest number of runs that is made."""
        return next((count for count in counts if passes * count * classifier.activation_count <= BUDGET), 0)

    runs = most(1)
    if analysis.maps:
        runs += most(1)
        runs += most(SEEDS, 1) if "seed" in step.options else 0
        if {"targets", "objectives"} & takes:
            depths = len(DEPTHS) + 1
            runs += most(SAMPLES * depths, depths) + 2 * most(1)
    return START + A_LAYER * len(classifier.layers) + images * runs * passes * a_pass
