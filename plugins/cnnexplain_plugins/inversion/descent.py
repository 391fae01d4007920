"""The descent by which a layer is inverted, for any parametrization of the image: its spectrum or its pixels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cnnexplain_plugins.inversion.loss import Weights

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float, Float32

    from cnnexplain import optimize


@dataclass(frozen=True)
class Descent:
    """What is minimized and how: data · representation error + α · α-norm + λ · total variation.

    Args:
        start: The initial variables.
        steps: The number of steps.
        step: The optimizer; see `cnnexplain.optimize`.
        loss: (variables, number of the step) ↦ the losses (N,) and their gradients.
        images: Variables ↦ images in the model's input range.
        terms: Variables ↦ the α-norm (N,) and the total variation (N,), without their weights.
        weights: The weights of the terms.
        keep: (variables, number of the step) ↦ variables; a projection applied after each step.
        best: Whether the variables with the lowest loss are kept, or the last ones.
    """

    start: Float32[np.ndarray, "N ..."]
    steps: int
    step: optimize.Step
    loss: Callable[[Float32[np.ndarray, "N ..."], int], tuple[Float[np.ndarray, " N"], Float[np.ndarray, "N ..."]]]
    images: Callable[[Float32[np.ndarray, "N ..."]], Float32[np.ndarray, "N H W C"]]
    terms: Callable[[Float32[np.ndarray, "N ..."]], tuple[Any, Any]]
    weights: Weights
    keep: Callable[[Float32[np.ndarray, "N ..."], int], Float32[np.ndarray, "N ..."]] = lambda variables, _: variables
    best: bool = True
