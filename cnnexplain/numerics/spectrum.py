"""Pictures made of a Fourier spectrum with decorrelated colors, differentiable on every backend.

What is optimized is not the picture but its spectrum, in which coarse structure weighs as much as in photographs (Olah et
al. 2017, Feature Visualization), or only the phases of a spectrum with the magnitudes of photographs (Fel et al. 2023,
arXiv:2306.06805). Both give y (N, H, W, C), unbounded, in colors whose channels are uncorrelated over photographs; of it
`colors` makes the picture u in (0, 1), and lo + u · (hi − lo) is in a model's input range.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from keras import ops

if TYPE_CHECKING:
    from cnnexplain.types import Floats

EPSILON = 1e-5
"""Added to a standard deviation before it divides."""

# A square root of the covariance of red, green and blue over ImageNet; its columns are lightness and two opponent colors.
_ROOT = np.array([[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]], np.float32)

COLORS: Floats = np.asarray(_ROOT.T / np.linalg.norm(_ROOT, axis=0).max(), np.float32)
"""M (3, 3), by which decorrelated colors become red, green and blue: z = y · M."""

_GAINS = (34.9, 35.3, 29.1)
_POWER, _CUTOFF = 1.28, 0.285


def colors(y: Any) -> Any:
    """The picture of decorrelated colors, u = sigmoid(y · M); gray ones have no M.

    Args:
        y: (…, H, W, C), C being 1 or 3, of any range.

    Returns:
        Of the same shape, in (0, 1); y = 0 gives 0.5, the middle of the range.
    """
    return ops.sigmoid(y if y.shape[-1] == 1 else ops.matmul(y, COLORS))


def frequencies(height: int, width: int) -> Floats:
    """The frequencies (H, W // 2 + 1) of a half spectrum, in cycles per pixel, from 0 to √½."""
    return np.asarray(np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)))


def falloff(height: int, width: int, power: float = 1.0, low_pass: float = 0.0) -> Floats:
    """s(f) = 1 / max(f, f_min)^power · exp(−(f · low_pass)²), with f_min the lowest frequency of the longer side.

    Args:
        height: H of the picture.
        width: W of the picture, even or odd.
        power: 1 for the amplitudes of photographs; more gives coarse structure more weight.
        low_pass: In pixels; 0 lets every frequency pass.

    Returns:
        (H, W // 2 + 1) float32.
    """
    frequency = frequencies(height, width)
    scale = np.maximum(frequency, 1 / max(height, width)) ** -power * np.exp(-((frequency * low_pass) ** 2))
    return np.asarray(scale, np.float32)


def natural_magnitude(height: int, width: int, channels: int) -> Floats:
    """m_c(f) = g_c · max(f, f_min)^−1.28 · exp(−(f / 0.285)²), the magnitudes of photographs in decorrelated colors.

    A fit, which explains 96 to 97% of their energy, for pictures of any size.

    Args:
        height: H of the picture.
        width: W of the picture, even or odd.
        channels: 1 for gray pictures, whose magnitudes are those of the lightness, or 3.

    Returns:
        (C, H, W // 2 + 1) float32.
    """
    gains = np.array(_GAINS[:channels], np.float32)
    return gains[:, None, None] * falloff(height, width, _POWER, 1 / _CUTOFF)


def from_spectrum(coefficients: Any, scale: Floats, width: int) -> Any:
    """The picture of free coefficients, y = irfft2(S · s(f)) · √(H · W) / 4.

    Args:
        coefficients: S (N, 2, C, H, W // 2 + 1), real and imaginary parts, such as noise of standard deviation 0.01.
        scale: s(f) (H, W // 2 + 1), as `falloff` gives it.
        width: W, which half a spectrum doesn't tell.

    Returns:
        y (N, H, W, C).
    """
    # An array of NumPy's times a tensor is not the same on every backend.
    scaled = ops.multiply(coefficients, scale)
    return _inverse(scaled[:, 0], scaled[:, 1], width) * ((scale.shape[0] * width) ** 0.5 / 4)


def from_phases(phases: Any, magnitude: Floats, width: int) -> Any:
    """The picture of phases alone, y = standardized irfft2(m · exp(i · standardized φ)) (Fel et al. 2023, section 3).

    Phases are standardized over all of a picture's, and so is y over its pixels and channels: its mean is 0 and its standard
    deviation 1.

    Args:
        phases: φ (N, C, H, W // 2 + 1), such as standard normal noise.
        magnitude: m (C, H, W // 2 + 1), as `natural_magnitude` gives it.
        width: W, which half a spectrum doesn't tell.

    Returns:
        y (N, H, W, C).
    """
    angles = _standardized(ops.convert_to_tensor(phases))
    real, imaginary = (ops.multiply(part, magnitude) for part in (ops.cos(angles), ops.sin(angles)))
    return _standardized(_inverse(real, imaginary, width))


def _standardized(x: Any) -> Any:
    centered = x - ops.mean(x, axis=(1, 2, 3), keepdims=True)
    # At 0 the root itself has no gradient.
    deviation = ops.sqrt(ops.mean(ops.square(centered), axis=(1, 2, 3), keepdims=True) + EPSILON**2)
    return centered / (deviation + EPSILON)


def _inverse(real: Any, imaginary: Any, width: int) -> Any:
    """numpy.fft.irfft2 over the last two axes of (N, C, H, W // 2 + 1), → (N, H, W, C)."""
    height = real.shape[2]
    # The inverse over the rows is the conjugate of the transform of the conjugate; Keras transforms the last axis.
    columns = (ops.swapaxes(real, 2, 3), -ops.swapaxes(imaginary, 2, 3))
    real, imaginary = (ops.swapaxes(part, 2, 3) / height for part in ops.fft(columns))
    return ops.transpose(ops.irfft((real, -imaginary), fft_length=width), (0, 2, 3, 1))
