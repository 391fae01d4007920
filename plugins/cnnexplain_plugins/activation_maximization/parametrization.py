"""What is optimized in place of a picture: its pixels, or the coefficients of its spectrum (Olah et al. 2017)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from cnnexplain import Floats


class Pixels:
    """The pixels themselves: F is the identity."""

    def __init__(self, height: int, width: int) -> None:
        """Any height and width will do."""

    def picture(self, coefficients: Floats) -> Floats:
        """F s: the pictures."""
        return coefficients

    def adjoint(self, gradient: Floats) -> Floats:
        """Fᵀ g: the gradient with respect to the coefficients, of the one with respect to the pictures."""
        return gradient

    def coefficients(self, picture: Floats) -> Floats:
        """The coefficients s of given pictures, F s = z."""
        return picture


class Spectrum:
    """A Fourier spectrum whose amplitudes fall as 1/f, as those of natural images do: coarse structure moves first.

    F is the linear map from real coefficients (N, H, W // 2 + 1, 2 C) to pictures (N, H, W, C), of any height and width. The
    coefficients are the real and imaginary parts of the half spectrum of `numpy.fft.irfft2`, times the frequency as a
    multiple of the lowest one.
    """

    def __init__(self, height: int, width: int) -> None:
        self._size = (height, width)
        frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width))
        lowest = 1 / max(height, width)
        self._scale = (lowest / np.maximum(frequency, lowest))[..., None]
        # All columns of the half spectrum but the first, and for an even width the last, stand for two of the whole one.
        twins = (np.arange(width // 2 + 1) % (width / 2) > 0) + 1
        self._twins = twins[:, None]

    def picture(self, coefficients: Floats) -> Floats:
        """F s: the pictures."""
        spectrum = np.ascontiguousarray(coefficients, np.float32).view(np.complex64)
        picture = np.fft.irfft2(spectrum * self._scale, self._size, axes=(1, 2), norm="ortho")
        return np.asarray(picture, np.float32)

    def adjoint(self, gradient: Floats) -> Floats:
        """Fᵀ g: the gradient with respect to the coefficients, of the one with respect to the pictures."""
        return _reals(np.fft.rfft2(gradient, axes=(1, 2), norm="ortho") * self._scale * self._twins)

    def coefficients(self, picture: Floats) -> Floats:
        """The coefficients s of given pictures, F s = z."""
        return _reals(np.fft.rfft2(picture, axes=(1, 2), norm="ortho") / self._scale)


def _reals(spectrum: Floats) -> Floats:
    return np.ascontiguousarray(spectrum, np.complex64).view(np.float32)


PARAMETRIZATIONS: dict[str, type[Pixels] | type[Spectrum]] = {"pixels": Pixels, "fourier": Spectrum}
