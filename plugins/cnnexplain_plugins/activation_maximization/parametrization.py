"""Parametrizations of a picture: by its pixels, or by the coefficients of its spectrum (Olah et al. 2017)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Complex, Float, Float32


class Pixels:
    """The pixels themselves: F is the identity."""

    def __init__(self, height: int, width: int) -> None:
        """Works for any height and width."""

    def picture(self, coefficients: Float[np.ndarray, "N H W C"]) -> Float[np.ndarray, "N H W C"]:
        """F s: the pictures."""
        return coefficients

    def adjoint(self, gradient: Float[np.ndarray, "N H W C"]) -> Float[np.ndarray, "N H W C"]:
        """Fᵀ g: the gradient with respect to the coefficients, from the gradient g with respect to the pictures."""
        return gradient

    def coefficients(self, picture: Float[np.ndarray, "N H W C"]) -> Float[np.ndarray, "N H W C"]:
        """The coefficients s of pictures z, F s = z."""
        return picture


class Spectrum:
    """A Fourier spectrum whose amplitudes fall as 1/f, like those of natural images: coarse structure changes first.

    F is the linear map from real coefficients (N, H, W // 2 + 1, 2 C) to pictures (N, H, W, C), of any height and width. The
    coefficients are the real and imaginary parts of the half spectrum of `numpy.fft.irfft2`, times the frequency as a
    multiple of the lowest one.
    """

    def __init__(self, height: int, width: int) -> None:
        self._size = (height, width)
        frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width))
        lowest = 1 / max(height, width)
        self._scale = (lowest / np.maximum(frequency, lowest))[..., None]
        # Each column of the half spectrum represents two columns of the full one, except for the first column and, for an
        # even width, the last.
        multiplicity = (np.arange(width // 2 + 1) % (width / 2) > 0) + 1
        self._multiplicity = multiplicity[:, None]

    def picture(self, coefficients: Float[np.ndarray, "N H half parts"]) -> Float32[np.ndarray, "N H W C"]:
        """F s: the pictures."""
        spectrum = np.ascontiguousarray(coefficients, np.float32).view(np.complex64)
        picture = np.fft.irfft2(spectrum * self._scale, self._size, axes=(1, 2), norm="ortho")
        return np.asarray(picture, np.float32)

    def adjoint(self, gradient: Float[np.ndarray, "N H W C"]) -> Float32[np.ndarray, "N H half parts"]:
        """Fᵀ g: the gradient with respect to the coefficients, from the gradient g with respect to the pictures."""
        return _real_parts(np.fft.rfft2(gradient, axes=(1, 2), norm="ortho") * self._scale * self._multiplicity)

    def coefficients(self, picture: Float[np.ndarray, "N H W C"]) -> Float32[np.ndarray, "N H half parts"]:
        """The coefficients s of pictures z, F s = z."""
        return _real_parts(np.fft.rfft2(picture, axes=(1, 2), norm="ortho") / self._scale)


def _real_parts(spectrum: Complex[np.ndarray, "N H half C"]) -> Float32[np.ndarray, "N H half parts"]:
    """The real and imaginary parts of complex numbers, next to each other along the last axis."""
    return np.ascontiguousarray(spectrum, np.complex64).view(np.float32)


PARAMETRIZATIONS: dict[str, type[Pixels] | type[Spectrum]] = {"pixels": Pixels, "fourier": Spectrum}
