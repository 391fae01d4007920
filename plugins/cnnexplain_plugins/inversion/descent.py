"""The descent by which a layer is inverted, for any parametrization of the image: its spectrum or its pixels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cnnexplain import optimize
from cnnexplain_plugins.inversion.loss import Weights

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float, Float32

    from cnnexplain import Classifier


@dataclass(frozen=True)
class Descent:
    """What is minimized and how: data · representation error + α · α-norm + λ · total variation.

    Args:
        names: The layers whose outputs are read.
        start: The initial variables.
        steps: The number of steps.
        step: The optimizer.
        loss: (outputs of images, variables, arrays, …, row of the schedule) ↦ the losses (N,), for
            `optimize.minimize_compiled`.
        arrays: The arguments of the loss that stay the same.
        images: Variables ↦ images in the model's input range.
        terms: Variables ↦ the α-norm (N,) and the total variation (N,), without their weights.
        weights: The weights of the terms.
        schedule: The arguments of the loss that differ between steps.
        keep: A projection of the variables that is applied after each step.
        best: Whether the variables with the lowest loss are kept, or the last ones.
    """

    names: Sequence[str]
    start: Float32[np.ndarray, "N ..."]
    steps: int
    step: optimize.Optimizer
    loss: Callable[..., Any]
    arrays: Sequence[Float[np.ndarray, "N ..."]]
    images: Callable[[Float32[np.ndarray, "N ..."]], Float32[np.ndarray, "N H W C"]]
    terms: Callable[[Float32[np.ndarray, "N ..."]], tuple[Any, Any]]
    weights: Weights
    schedule: Sequence[Float[np.ndarray, "steps ..."]] = ()
    keep: Callable[..., Any] | None = None
    best: bool = True

    def minimize(self, classifier: Classifier, progress: Callable[[int, int], None]) -> optimize.Optimum:
        """Minimizes the loss."""
        return optimize.minimize_compiled(
            classifier,
            self.loss,
            self.names,
            self.start,
            self.step,
            self.steps,
            arrays=self.arrays,
            schedule=self.schedule,
            keep=self.keep,
            best=self.best,
            progress=progress,
        )
