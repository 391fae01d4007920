"""Regularization of the pictures: Yosinski et al. 2015 (arXiv:1506.06579, section 3), and total variation.

Pictures z (N, H, W, C) are differences from the origin, an empty picture, in units of the model's input range.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from keras import ops

from cnnexplain.errors import UsageError
from cnnexplain.numerics import blurred
from cnnexplain.plugin import with_pullback

if TYPE_CHECKING:
    from jaxtyping import Float

EPSILON = 1e-4
"""The square of a hundredth of the input range, added to squared differences of pixels."""


@dataclass(frozen=True)
class Regularization:
    """How the pictures are regularized, and how fast they change.

    Args:
        decay: θ_decay: the share by which pixels decay toward the origin after each step.
        blur: θ_b_width: the standard deviation of the Gaussian blur, in pixels; 0 for no blur.
        blur_every: θ_b_every: the number of steps between blurs.
        norm_percentile: θ_n_pct: pixels whose norm over the channels is below this percentile are set to the origin.
        contribution_percentile: θ_c_pct: the same for the pixels' contribution to the objective.
        total_variation: Weight of the total variation in the objective.
        jitter: The maximum shift of the view that the network is shown, in pixels along each axis.
        rotate: The maximum rotation of the view, in degrees.
        zoom: The maximum enlargement or reduction of the view, as a share of its size.
        parametrization: What is optimized: "pixels", or "fourier", the coefficients of a spectrum.
        rate: Adam's learning rate, as a share of the input range.
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

    def keep(
        self, z: Float[np.ndarray, "N H W C"], slope: Float[np.ndarray, "N H W C"], step: int
    ) -> Float[np.ndarray, "N H W C"]:
        """Applies Yosinski's four regularizers, in the paper's order.

        Args:
            z: The pictures.
            slope: ∂a/∂z of the last step.
            step: The number of the step, from 0.
        """
        z = (1 - self.decay) * z if self.decay else z
        if self.blur and (step + 1) % self.blur_every == 0:
            z = blurred(z, self.blur)
        if self.norm_percentile:
            z = _clear_smallest(z, np.linalg.norm(z, axis=-1), self.norm_percentile)
        if self.contribution_percentile:
            z = _clear_smallest(z, np.abs((z * slope).sum(axis=-1)), self.contribution_percentile)
        return z


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
"""The paper's four settings, in its order, and settings that are common today (Olah et al. 2017)."""


def choose(name: str, **parts: Any) -> Regularization:
    """The setting with that name; parts that are not None are replaced.

    Raises:
        UsageError: `blur_every` is given for a setting without a blur.
    """
    chosen = replace(SETTINGS[name], **{part: value for part, value in parts.items() if value is not None})
    if parts.get("blur_every") is not None and not chosen.blur:
        raise UsageError(f"--blur-every {chosen.blur_every} needs a blur: give its width with --blur.")
    return chosen


def _clear_smallest(
    z: Float[np.ndarray, "N H W C"], measure: Float[np.ndarray, "N H W"], percentile: float
) -> Float[np.ndarray, "N H W C"]:
    """The pictures, with pixels set to 0 whose measure is below the percentile of their picture."""
    limits = np.percentile(measure, percentile, axis=(1, 2), keepdims=True)
    return np.where((measure < limits)[..., None], 0, z)


def total_variation(
    z: Float[np.ndarray, "N H W C"], epsilon: float = EPSILON
) -> tuple[Float[np.ndarray, " N"], Float[np.ndarray, "N H W C"]]:
    """Σ √(‖z[i+1,j] − z[i,j]‖² + ‖z[i,j+1] − z[i,j]‖² + ε) − √ε over the pixels, norms over the channels, and its gradient.

    ε keeps the gradient finite where a picture is flat.
    """
    down, right = np.diff(z, axis=1, append=z[:, -1:]), np.diff(z, axis=2, append=z[:, :, -1:])
    length = np.sqrt((down**2 + right**2).sum(axis=-1, keepdims=True) + epsilon)
    down, right = down / length, right / length
    gradient = -down - right
    gradient[:, 1:] += down[:, :-1]
    gradient[:, :, 1:] += right[:, :, :-1]
    return (length - np.sqrt(epsilon)).sum(axis=(1, 2, 3)), gradient


def variation(z: Any) -> Any:
    """The total variation of pictures, for tensors."""
    # The gradients of slices and sums would take several times as long.
    return with_pullback(lambda z: ops.sum(_changes(z)[2] - EPSILON**0.5, axis=(1, 2, 3)), _variation_slope)(z)


def _changes(z: Any) -> tuple[Any, Any, Any]:
    """The differences to the pixel below and to that on the right (N, H, W, C), and their lengths (N, H, W, 1)."""
    down = ops.pad(z[:, 1:] - z[:, :-1], ((0, 0), (0, 1), (0, 0), (0, 0)))
    right = ops.pad(z[:, :, 1:] - z[:, :, :-1], ((0, 0), (0, 0), (0, 1), (0, 0)))
    squares = ops.sum(ops.square(down) + ops.square(right), axis=-1, keepdims=True)
    return down, right, ops.sqrt(squares + EPSILON)


def _variation_slope(z: Any, signal: Any) -> Any:
    """The gradient of `variation`, times the signal of each picture."""
    down, right, lengths = _changes(z)
    factor = ops.reshape(signal, (-1, 1, 1, 1)) / lengths
    down, right = down * factor, right * factor
    above = ops.pad(down[:, :-1], ((0, 0), (1, 0), (0, 0), (0, 0)))
    left = ops.pad(right[:, :, :-1], ((0, 0), (0, 0), (1, 0), (0, 0)))
    return above - down + (left - right)
