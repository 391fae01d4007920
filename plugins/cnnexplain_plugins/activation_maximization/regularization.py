"""What keeps the pictures from being noise: Yosinski et al. 2015 (arXiv:1506.06579, section 3), and total variation.

Everything here takes pictures z (N, H, W, C) in units of the model's input range, measured from its origin, which z = 0 is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnexplain.errors import UsageError
from cnnexplain.numerics import blurred

if TYPE_CHECKING:
    from cnnexplain import Floats


@dataclass(frozen=True)
class Regularization:
    """How the pictures are kept regular, and how fast they change.

    Args:
        decay: θ_decay: by what part of itself a pixel shrinks towards the origin after each step.
        blur: θ_b_width: standard deviation of the Gaussian blur, in pixels; 0 blurs nothing.
        blur_every: θ_b_every: after how many steps it is blurred.
        norm_percentile: θ_n_pct: pixels whose norm over the channels is under this percentile become the origin.
        contribution_percentile: θ_c_pct: likewise, by the pixels' contribution to the objective.
        total_variation: Weight of the total variation in the objective.
        jitter: By how many pixels at most the copy that the network is shown is moved, along each axis.
        rotate: By how many degrees at most it is turned.
        zoom: By what part at most it is enlarged or made smaller.
        parametrization: What is optimized: "pixels", or "fourier", the coefficients of a spectrum.
        rate: Adam's learning rate, in parts of the input range.
    """

    decay: float = 0.0
    blur: float = 0.0
    blur_every: int = 4
    norm_percentile: float = 0.0
    contribution_percentile: float = 0.0
    total_variation: float = 0.0
    jitter: float = 0.0
    rotate: float = 0.0
    zoom: float = 0.0
    parametrization: str = "pixels"
    rate: float = 0.05

    def keep(self, z: Floats, slope: Floats, number: int) -> Floats:
        """Yosinski's four regularizers, in the paper's order, after step `number` (from 0).

        Args:
            z: (N, H, W, C), the pictures.
            slope: (N, H, W, C), ∂a/∂z of the last step.
            number: Of the step.
        """
        z = (1 - self.decay) * z
        if self.blur and (number + 1) % self.blur_every == 0:
            z = blurred(z, self.blur)
        z = _without_least(z, np.linalg.norm(z, axis=-1), self.norm_percentile)
        return _without_least(z, np.abs((z * slope).sum(axis=-1)), self.contribution_percentile)


_VIEWS = Regularization(jitter=1.0, rotate=5.0, zoom=0.05)

SETTINGS = {
    "none": Regularization(),
    "yosinski-1": Regularization(blur=0.5, norm_percentile=50, rate=0.1),
    "yosinski-2": Regularization(decay=0.3, norm_percentile=20, rate=0.5),
    "yosinski-3": Regularization(decay=1e-4, blur=1.0, rate=0.3),
    "yosinski-4": Regularization(blur=0.5, contribution_percentile=90, rate=0.1),
    "robust": replace(_VIEWS, total_variation=0.2, rate=0.1),
    "fourier": replace(_VIEWS, total_variation=0.2, parametrization="fourier"),
}
"""The paper's four settings, in its order, and what is usual today (Olah et al. 2017)."""


def choose(name: str, **parts: Any) -> Regularization:
    """The setting of that name with those of its parts replaced that are not None.

    Raises:
        UsageError: It says how often to blur, but nothing blurs.
    """
    chosen = replace(SETTINGS[name], **{part: value for part, value in parts.items() if value is not None})
    if parts.get("blur_every") is not None and not chosen.blur:
        raise UsageError(f"--blur-every {chosen.blur_every} needs a blur: give its width with --blur.")
    return chosen


def _without_least(z: Floats, measure: Floats, percentile: float) -> Floats:
    """The pictures with 0 where the measure (N, H, W) of a pixel is under the percentile of its own picture."""
    if not percentile:
        return z
    limits = np.percentile(measure, percentile, axis=(1, 2), keepdims=True)
    return np.where((measure < limits)[..., None], 0, z)


def total_variation(z: Floats, epsilon: float = 1e-4) -> tuple[Floats, Floats]:
    """Σ √(‖z[i+1,j] − z[i,j]‖² + ‖z[i,j+1] − z[i,j]‖² + ε) − √ε over the pixels, norms over the channels, and its gradient.

    ε, the square of a hundredth of the input range, keeps the gradient finite where a picture is flat.

    Returns:
        (N,) and (N, H, W, C).
    """
    down, right = np.diff(z, axis=1, append=z[:, -1:]), np.diff(z, axis=2, append=z[:, :, -1:])
    length = np.sqrt((down**2 + right**2).sum(axis=-1, keepdims=True) + epsilon)
    down, right = down / length, right / length
    gradient = -down - right
    gradient[:, 1:] += down[:, :-1]
    gradient[:, :, 1:] += right[:, :, :-1]
    return (length - np.sqrt(epsilon)).sum(axis=(1, 2, 3)), gradient
