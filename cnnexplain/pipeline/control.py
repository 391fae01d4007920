"""The control of an explanation: the same analysis of the same network with shuffled weights.

A map that hardly differs from that of the control does not show what the network has learned (Adebayo et al. 2018,
arXiv:1810.03292).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from cnnexplain.checks.random_weights import rank_correlation
from cnnexplain.errors import ModelError, PluginError
from cnnexplain.model.computation.objectives import Logit, Objective
from cnnexplain.pipeline import targets
from cnnexplain.pipeline.contract import run_analysis
from cnnexplain.pipeline.request import Request
from cnnexplain.pipeline.targets import Resolved
from cnnexplain.plugin.analysis import Analysis, Result
from cnnexplain.results.control import CORRELATION, PREFIX

if TYPE_CHECKING:
    from jaxtyping import Float32


def control_result(
    request: Request,
    images: Float32[np.ndarray, "N H W C"],
    explained: Sequence[Resolved],
    against: Sequence[int] | None,
    progress: Callable[[int, int], None],
) -> tuple[Result, float]:
    """Runs the analysis of a request on `Request.control`.

    Args:
        request: The request, with a control.
        images: (N, H, W, C), the images of this call.
        explained: The target that is explained for each image of the real network.
        against: The class that is subtracted, for each image; None if nothing is subtracted.
        progress: As for `run_analysis`.

    Returns:
        The result and the run time in seconds.

    Raises:
        ModelError: The shuffled network can't be explained.
    """
    assert request.control is not None
    objectives: list[Objective] = [each if isinstance(each, Objective) else Logit(each) for each in explained]
    if against is not None:
        objectives = targets.contrasts(objectives, explained, against, request.control)
    shuffled = replace(request, classifier=request.control)
    given = explained if "targets" in request.analysis.inputs else ()
    try:
        return run_analysis(shuffled, images, given, objectives, progress, first=False)
    except ModelError as error:
        raise ModelError(f"The control, which is the network with shuffled weights, can't be explained: {error}") from error


def with_correlation(analysis: Analysis, result: Result, control: Result) -> Result:
    """The result of the real network with a further fact: the rank correlation of its main map with that of the control.

    Args:
        analysis: The analysis.
        result: The result, with a main map.
        control: The result of the control, with the same arrays.

    Raises:
        PluginError: An array or a fact has a name that is used for the control.
    """
    names = [*(name for name in result.arrays if name.startswith(PREFIX)), *({CORRELATION} & set(result.facts))]
    if names:
        raise PluginError(f"run() of '{analysis.name}' returned '{names[0]}', a name that is used for the control.")
    name = analysis.main_map(result.arrays)
    assert name is not None
    correlations = [
        rank_correlation(own, other) for own, other in zip(result.arrays[name], control.arrays[name], strict=True)
    ]
    return replace(result, facts={**result.facts, CORRELATION: correlations})
