"""The built-in metrics, each declared in a module of its own."""

from __future__ import annotations

from cnnexplain.plugin import Metric, hookimpl
from cnnexplain_plugins.metrics import (
    completeness,
    complexity,
    deletion,
    emprt,
    infidelity,
    insertion,
    max_sensitivity,
    mu_fidelity,
    pixel_flipping,
    pointing_game,
    random_logit,
    relevance_mass,
    relevance_rank,
    road,
    smprt,
    sparseness,
)

MODULES = (
    deletion,
    insertion,
    pixel_flipping,
    road,
    mu_fidelity,
    infidelity,
    max_sensitivity,
    random_logit,
    smprt,
    emprt,
    completeness,
    sparseness,
    complexity,
    pointing_game,
    relevance_rank,
    relevance_mass,
)


@hookimpl
def cnnexplain_metrics() -> list[Metric]:
    """Declares the metrics."""
    return [module.METRIC for module in MODULES]
