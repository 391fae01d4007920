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
from cnnexplain.errors import CnnExplainError, PluginError
from cnnexplain.model.computation.objectives import Logit, Objective
from cnnexplain.pipeline import targets
from cnnexplain.pipeline.contract import run_analysis, structure_of
from cnnexplain.pipeline.request import Request
from cnnexplain.pipeline.targets import Resolved
from cnnexplain.plugin.analysis import Result
from cnnexplain.results.control import CORRELATION, control_name

if TYPE_CHECKING:
    from jaxtyping import Float32


NO_MAP = "There is no control, because with these options the analysis returns no map of the image."
NO_CONTROL = "There is no control, because the network with shuffled weights can't be explained: {}"
OTHER = "The analysis returned other arrays, shapes or facts for it."


def with_control(
    request: Request,
    images: Float32[np.ndarray, "N H W C"],
    explained: Sequence[Resolved],
    against: Sequence[int] | None,
    result: Result,
    progress: Callable[[int, int], None],
) -> tuple[Result, Result | None, float]:
    """Runs the analysis of a request on `Request.control`.

    Args:
        request: The request, with a control.
        images: (N, H, W, C), the images of this call.
        explained: The target that is explained for each image of the real network.
        against: The class that is subtracted, for each image; None if nothing is subtracted.
        result: The result for the real network.
        progress: As for `run_analysis`.

    Returns:
        The result for the real network with a further fact, the rank correlation of its main map with that of the control;
        the control; and its run time in seconds. If there is no control, the result has a warning instead.

    Raises:
        PluginError: The analysis uses a name of the control.
    """
    analysis = request.analysis
    if name := control_name(result.arrays, result.facts):
        raise PluginError(f"run() of '{analysis.name}' returned '{name}', a name that is used for the control.")
    main = analysis.main_map(result.arrays)
    if main is None:
        return _warned(result, NO_MAP), None, 0.0
    # The explanation of the real network is complete, and is kept whatever the shuffled one does.
    try:
        control, seconds = _control(request, images, explained, against, progress)
    except CnnExplainError as error:
        return _warned(result, NO_CONTROL.format(error)), None, 0.0
    if structure_of(control) != structure_of(result):
        return _warned(result, NO_CONTROL.format(OTHER)), None, 0.0
    correlations = list(map(rank_correlation, result.arrays[main], control.arrays[main]))
    return replace(result, facts={**result.facts, CORRELATION: correlations}), control, seconds


def _control(
    request: Request,
    images: Float32[np.ndarray, "N H W C"],
    explained: Sequence[Resolved],
    against: Sequence[int] | None,
    progress: Callable[[int, int], None],
) -> tuple[Result, float]:
    assert request.control is not None
    objectives: list[Objective] = [each if isinstance(each, Objective) else Logit(each) for each in explained]
    if against is not None:
        objectives = targets.contrasts(objectives, explained, against, request.control)
    shuffled = replace(request, classifier=request.control)
    given = explained if "targets" in request.analysis.inputs else ()
    return run_analysis(shuffled, images, given, objectives, progress, first=False)


def _warned(result: Result, warning: str) -> Result:
    return replace(result, warnings=(*result.warnings, warning))
