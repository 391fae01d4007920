"""The hooks that a plugin can implement."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from cnnexplain.plugin.analysis import Analysis
    from cnnexplain.plugin.metric import Metric
    from cnnexplain.plugin.named_model import NamedModel
    from cnnexplain.plugin.reference import Reference

hookspec = pluggy.HookspecMarker("cnnexplain")


@hookspec
def cnnexplain_analyses() -> list[Analysis]:
    """Returns the analyses that the plugin offers."""
    raise NotImplementedError  # A specification: pluggy reads its signature and never calls it.


@hookspec
def cnnexplain_models() -> list[NamedModel]:
    """Returns the models that the plugin offers by name."""
    raise NotImplementedError


@hookspec
def cnnexplain_metrics() -> list[Metric]:
    """Returns the metrics that the plugin offers."""
    raise NotImplementedError


@hookspec
def cnnexplain_references() -> list[Reference]:
    """Returns other implementations of methods, with which `cnnexplain verify` compares results."""
    raise NotImplementedError
