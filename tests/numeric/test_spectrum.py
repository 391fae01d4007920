"""Pictures made of a spectrum: NumPy's inverse transform of the formulas, and finite differences of the gradient."""

import keras
import numpy as np
import pytest
from compiling import compile_gradient

from cnnexplain.numerics import spectrum

SIZES = [(12, 10), (9, 7), (8, 13)]


def coefficients_oracle(s, width, power, low_pass):
    """irfft2(S · s(f)) · √(H · W) / 4, s(f) = 1 / max(f, 1 / max(H, W))^d · exp(−(f p)²)."""
    height = s.shape[3]
    f = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width))
    scale = 1 / np.maximum(f, 1 / max(height, width)) ** power * np.exp(-((f * low_pass) ** 2))
    y = np.fft.irfft2((s[:, 0] + 1j * s[:, 1]) * scale, (height, width)) * np.sqrt(height * width) / 4
    return y.transpose(0, 2, 3, 1)


def phases_oracle(phases, width):
    """Fel et al. 2023 with the magnitude fitted to photographs, one picture after another."""
    pictures = []
    for phase in phases:
        channels, height = phase.shape[:2]
        f = np.maximum(np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)), 1 / max(height, width))
        true = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width))
        gains = np.array([34.9, 35.3, 29.1])[:channels, None, None]
        magnitude = gains * f**-1.28 * np.exp(-((true / 0.285) ** 2))
        angle = (phase - phase.mean()) / (phase.std() + 1e-5)
        y = np.fft.irfft2(magnitude * np.exp(1j * angle), (height, width))
        pictures.append((y - y.mean()) / (y.std() + 1e-5))
    return np.array(pictures).transpose(0, 2, 3, 1)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_equal_numpy(random, size, channels):
    height, width = size
    s = random.normal(0, 0.01, (2, 2, channels, height, width // 2 + 1)).astype(np.float32)
    for power, low_pass in ((1.0, 0.0), (1.5, 2.5)):
        y = spectrum.from_spectrum(s, spectrum.falloff(height, width, power, low_pass), width)
        np.testing.assert_allclose(y, coefficients_oracle(s, width, power, low_pass), rtol=1e-4, atol=1e-6)
    phases = random.normal(size=(2, channels, height, width // 2 + 1)).astype(np.float32)
    y = spectrum.from_phases(phases, spectrum.natural_magnitude(height, width, channels), width)
    np.testing.assert_allclose(y, phases_oracle(phases, width), rtol=1e-3, atol=1e-5)


def test_colors_follow_the_formula(random):
    root = np.array([[0.26, 0.09, 0.02], [0.27, 0, -0.05], [0.27, -0.09, 0.03]])
    longest = max(np.sqrt((root[:, column] ** 2).sum()) for column in range(3))
    y = random.normal(size=(2, 4, 5, 3)).astype(np.float32)
    z = np.einsum("nhwc,rc->nhwr", y, root / longest)
    np.testing.assert_allclose(spectrum.colors(y), 1 / (1 + np.exp(-z)), rtol=1e-5)
    np.testing.assert_allclose(spectrum.colors(y[..., :1]), 1 / (1 + np.exp(-y[..., :1])), rtol=1e-5)
    np.testing.assert_allclose(spectrum.colors(np.zeros((1, 2, 2, 3), np.float32)), 0.5)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", ["spectrum", "phases"])
def test_gradient_equals_finite_differences(random, size, kind):
    height, width = size
    half = width // 2 + 1
    weights = random.normal(size=(height, width, 3)).astype(np.float32)
    if kind == "spectrum":
        scale, shape = spectrum.falloff(height, width), (2, 3, height, half)
        picture = lambda x: spectrum.from_spectrum(x, scale, width)  # noqa: E731
        exact = lambda x: coefficients_oracle(x, width, 1.0, 0.0)  # noqa: E731
    else:
        magnitude, shape = spectrum.natural_magnitude(height, width, 3), (3, height, half)
        picture = lambda x: spectrum.from_phases(x, magnitude, width)  # noqa: E731
        exact = lambda x: phases_oracle(x, width)  # noqa: E731
    value = lambda x: keras.ops.sum(keras.ops.multiply(spectrum.colors(picture(x)), weights), axis=(1, 2, 3))  # noqa: E731
    x, along = random.normal(size=(1, *shape)), random.normal(size=(1, *shape))
    _, gradient = compile_gradient(value, [shape], [])(x)

    def oracle(x):
        z = np.einsum("nhwc,cr->nhwr", exact(x), spectrum.COLORS.astype(float))
        return (weights / (1 + np.exp(-z))).sum()

    step = 1e-5
    slope = (oracle(x + step * along) - oracle(x - step * along)) / (2 * step)
    np.testing.assert_allclose((gradient * along).sum(), slope, rtol=1e-3, atol=1e-3)


def test_equal_phases_have_a_finite_gradient():
    magnitude = spectrum.natural_magnitude(6, 6, 1)
    value = lambda x: keras.ops.sum(spectrum.from_phases(x, magnitude, 6)[:, :2], axis=(1, 2, 3))  # noqa: E731
    assert np.isfinite(compile_gradient(value, [(1, 6, 4)], [])(np.zeros((1, 1, 6, 4)))[1]).all()
