"""How one layer is inverted, whatever stands for the image meanwhile: its spectrum or its pixels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cnnexplain_plugins.inversion.loss import Weights

if TYPE_CHECKING:
    from cnnexplain import Floats, optimize


@dataclass(frozen=True)
class Descent:
    """What is minimized and how: data · representation error + α · α-norm + λ · total variation.

    Args:
        start: (N, …), the variables that the descent starts from.
        steps: How many steps it takes.
        step: How it moves; see `cnnexplain.optimize`.
        loss: (variables, number of the step) ↦ the values (N,) and their gradients.
        images: Variables ↦ images (N, H, W, C) in the model's input range.
        terms: Variables ↦ the α-norm (N,) and the total variation (N,), without their weights.
        weights: Of the terms.
        keep: (variables, number of the step) ↦ variables, after each step.
        best: Whether the variables of the lowest value are kept, or the last ones.
    """

    start: Floats
    steps: int
    step: optimize.Step
    loss: Callable[[Floats, int], tuple[Floats, Floats]]
    images: Callable[[Floats], Floats]
    terms: Callable[[Floats], tuple[Any, Any]]
    weights: Weights
    keep: Callable[[Floats, int], Floats] = lambda variables, _: variables
    best: bool = True
