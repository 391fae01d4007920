"""From the phases or coefficients of a Fourier spectrum to a picture."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from cnnexplain.numerics import spectrum

if TYPE_CHECKING:
    from jaxtyping import Float, Float32

NOISE = {True: 1.0, False: 0.01}
"""The standard deviation of the initial phases (True) and of the initial coefficients (False)."""


@dataclass(frozen=True)
class Canvas:
    """Maps phases or coefficients to pictures with values from 0 to 1.

    Args:
        height: Rows of the picture.
        width: Columns of the picture.
        channels: 1 or 3.
        phases: Whether only phases are optimized, with the magnitudes of photographs; otherwise free coefficients.
        low_pass: Damping of free coefficients; see `cnnexplain.numerics.spectrum.falloff`.
    """

    height: int
    width: int
    channels: int
    phases: bool
    low_pass: float

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the phases or coefficients of one picture."""
        half = (self.channels, self.height, self.width // 2 + 1)
        return half if self.phases else (2, *half)

    def picture(self, variables: Any) -> Any:
        """The pictures (N, H, W, C) of variables (N, *shape), from 0 to 1, in RGB order."""
        if self.phases:
            return spectrum.colors(spectrum.from_phases(variables, self._scale, self.width))
        return spectrum.colors(spectrum.from_spectrum(variables, self._scale, self.width))

    def picture_array(self, variables: Float[np.ndarray, "*shape"]) -> Float32[np.ndarray, "H W C"]:
        """The picture of one picture's variables, as a NumPy array."""
        return np.asarray(keras.ops.convert_to_numpy(self.picture(variables[None]))[0], np.float32)

    @cached_property
    def _scale(self) -> Float[np.ndarray, "*shape"]:
        if self.phases:
            return spectrum.natural_magnitude(self.height, self.width, self.channels)
        return spectrum.falloff(self.height, self.width, low_pass=self.low_pass)
