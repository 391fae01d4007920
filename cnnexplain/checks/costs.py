"""What the checks cost: a check that would take minutes is left out, and says so."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from cnnexplain.interruption import check_interrupted
from cnnexplain.plugin.check import Subject

BUDGET = 2e10
"""The number of layer outputs that a check may compute for an image, unless the verification is thorough: about 600,000
passes through the LeNet, or 1,000 through a network for photographs."""


def passes(subject: Subject, options: Mapping[str, Any]) -> float | None:
    """The number of passes through the network of a run with these options; None if unknown."""
    function = subject.record.analysis.passes
    if function is None:
        return None
    try:
        number = float(function(subject.classifier, {**subject.options, **options}))
    # A plugin may raise any error; `check-plugin` reports it.
    except BaseException as error:  # noqa: BLE001
        check_interrupted(error)
        return None
    return number if math.isfinite(number) else None


def affordable(subject: Subject, runs: float) -> bool:
    """Whether a number of runs of the analysis stays within the budget of a check.

    Runs whose number of passes is unknown count as a single pass.
    """
    return (passes(subject, {}) or 1.0) * runs * subject.classifier.activation_count <= subject.budget


def too_expensive(subject: Subject, runs: float) -> str:
    """The detail of a check that is left out because its runs of the analysis are not affordable."""
    number = (passes(subject, {}) or 1.0) * runs
    return f"left out: it takes about {number:,.0f} passes through the network; 'verify --thorough' (thorough=True) runs it"


def cheap_options(subject: Subject, runs: float) -> Mapping[str, Any]:
    """The options for runs that need not show anything: those of the record, or else those of `Analysis.trial`."""
    return {} if affordable(subject, runs) else subject.record.analysis.trial
