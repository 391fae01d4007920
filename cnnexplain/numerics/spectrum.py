"""Images from a Fourier spectrum with decorrelated colors, differentiable on every backend.

The parametrization of an image is its spectrum, scaled such that coarse structure has the weight that it has in photographs
(Olah et al. 2017, Feature Visualization), or only the phases of a spectrum with the magnitudes of photographs (Fel et al.
2023, arXiv:2306.06805). Both yield y (N, H, W, C), unbounded, in colors whose channels are uncorrelated over photographs.
`colors` maps y to the image u in (0, 1), and lo + u · (hi − lo) is in a model's input range.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from keras import ops

if TYPE_CHECKING:
    from jaxtyping import Float32, Float64

EPSILON = 1e-5
"""Added to a standard deviation before dividing by it."""

# A square root of the covariance of red, green and blue over ImageNet; its columns are lightness and two opponent colors.
_ROOT = np.array([[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]], np.float32)

COLORS: Float32[np.ndarray, "3 3"] = np.asarray(_ROOT.T / np.linalg.norm(_ROOT, axis=0).max(), np.float32)
"""M (3, 3), which maps decorrelated colors to red, green and blue: z = y · M."""

_GAINS = (34.9, 35.3, 29.1)
_POWER, _CUTOFF = 1.28, 0.285


def colors(y: Any) -> Any:
    """The image for decorrelated colors, u = sigmoid(y · M); without M for gray images.

    Args:
        y: (…, H, W, C), with C 1 or 3, of any range.

    Returns:
        The image, of the same shape, in (0, 1); y = 0 yields 0.5, the middle of the range.
    """
    return ops.sigmoid(y if y.shape[-1] == 1 else ops.matmul(y, COLORS))


def frequencies(height: int, width: int) -> Float64[np.ndarray, "{height} {width}//2+1"]:
    """The frequencies (H, W // 2 + 1) of a half spectrum, in cycles per pixel, from 0 to √½."""
    return np.asarray(np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)))


def falloff(
    height: int, width: int, power: float = 1.0, low_pass: float = 0.0
) -> Float32[np.ndarray, "{height} {width}//2+1"]:
    """s(f) = 1 / max(f, f_min)^power · exp(−(f · low_pass)²), with f_min the lowest frequency of the longer side.

    Args:
        height: The height H of the image.
        width: The width W of the image, even or odd.
        power: 1 for the amplitudes of photographs; larger values give coarse structure more weight.
        low_pass: The width of a low-pass filter in pixels; 0 for none.

    Returns:
        (H, W // 2 + 1) float32.
    """
    frequency = frequencies(height, width)
    scale = np.maximum(frequency, 1 / max(height, width)) ** -power * np.exp(-((frequency * low_pass) ** 2))
    return np.asarray(scale, np.float32)


def natural_magnitude(height: int, width: int, channels: int) -> Float32[np.ndarray, "{channels} {height} {width}//2+1"]:
    """m_c(f) = g_c · max(f, f_min)^−1.28 · exp(−(f / 0.285)²), the magnitudes of photographs in decorrelated colors.

    A fit that explains 96 to 97% of their energy, for images of any size.

    Args:
        height: The height H of the image.
        width: The width W of the image, even or odd.
        channels: 3, or 1 for gray images, which have the magnitudes of the lightness.

    Returns:
        (C, H, W // 2 + 1) float32.
    """
    gains = np.array(_GAINS[:channels], np.float32)
    return np.asarray(gains[:, None, None] * falloff(height, width, _POWER, 1 / _CUTOFF))


def from_spectrum(coefficients: Any, scale: Float32[np.ndarray, "H {width}//2+1"], width: int) -> Any:
    """The image with free coefficients, y = irfft2(S · s(f)) · √(H · W) / 4.

    Args:
        coefficients: S (N, 2, C, H, W // 2 + 1), real and imaginary parts, such as noise of standard deviation 0.01.
        scale: s(f) (H, W // 2 + 1), the result of `falloff`.
        width: The width W, which half a spectrum does not determine.

    Returns:
        y (N, H, W, C).
    """
    # The product of a NumPy array and a tensor differs between backends.
    real, imaginary = ops.unstack(ops.multiply(coefficients, scale), 2, axis=1)
    return _inverse(real, imaginary, width) * ((scale.shape[0] * width) ** 0.5 / 4)


def from_phases(phases: Any, magnitude: Float32[np.ndarray, "C H {width}//2+1"], width: int) -> Any:
    """The image with free phases, y = standardized irfft2(m · exp(i · standardized φ)) (Fel et al. 2023, section 3).

    The phases of an image are standardized, and so is y over its pixels and channels: its mean is 0 and its standard
    deviation 1.

    Args:
        phases: φ (N, C, H, W // 2 + 1), such as standard normal noise.
        magnitude: m (C, H, W // 2 + 1), the result of `natural_magnitude`.
        width: The width W, which half a spectrum does not determine.

    Returns:
        y (N, H, W, C).
    """
    angles = _standardized(ops.convert_to_tensor(phases))
    real, imaginary = (ops.multiply(part, magnitude) for part in (ops.cos(angles), ops.sin(angles)))
    return _standardized(_inverse(real, imaginary, width))


def _standardized(x: Any) -> Any:
    centered = x - ops.mean(x, axis=(1, 2, 3), keepdims=True)
    # At 0 the square root has no gradient.
    deviation = ops.sqrt(ops.mean(ops.square(centered), axis=(1, 2, 3), keepdims=True) + EPSILON**2)
    return centered / (deviation + EPSILON)


def _inverse(real: Any, imaginary: Any, width: int) -> Any:
    """numpy.fft.irfft2 over the last two axes of (N, C, H, W // 2 + 1), → (N, H, W, C)."""
    height = real.shape[2]
    # The inverse transform of the rows is the conjugate of the transform of the conjugate; Keras transforms the last axis.
    columns = (ops.swapaxes(real, 2, 3), -ops.swapaxes(imaginary, 2, 3))
    real, imaginary = (ops.swapaxes(part, 2, 3) / height for part in ops.fft(columns))
    return ops.transpose(ops.irfft((real, -imaginary), fft_length=width), (0, 2, 3, 1))
