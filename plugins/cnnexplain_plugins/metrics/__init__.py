"""The built-in metrics, each declared in a module of its own."""

from __future__ import annotations

from cnnexplain.plugin import Metric, hookimpl
from cnnexplain_plugins.metrics import deletion, insertion, pointing_game, relevance_mass, relevance_rank


@hookimpl
def cnnexplain_metrics() -> list[Metric]:
    """Declares the metrics."""
    return [module.METRIC for module in (deletion, insertion, pointing_game, relevance_rank, relevance_mass)]
