"""What an inversion minimizes (Mahendran & Vedaldi 2015, arXiv:1412.0035, section 2), over normalized images.

A normalized image x stands for the image mean + σx: a typical image has the norm 1, whatever the model's input range.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from cnnexplain import mnist

if TYPE_CHECKING:
    from cnnexplain import Classifier, Floats, Preprocess

ALPHA = 6
"""The paper's exponent of the α-norm."""

ALPHA_WEIGHT, VARIATION_WEIGHTS = 2.16e8, (0.5, 5.0, 50.0)
"""The paper's weights on its own inputs: λ_α, and λ_V for the early, the middle and the deep layers."""

ALPHA_SHARE = 0.01
"""The share of the paper's λ_α that is taken: the whole dims what is bright, digits before all."""

SIDE, NUMBERS = 227, 227 * 227 * 3
"""The side of the paper's inputs, and how many numbers they have."""

SPREAD = 0.25
"""The root mean square of an image's distance from the mean, as a part of the input range, where no images tell it."""


@dataclass(frozen=True)
class Normalization:
    """How images are normalized.

    Args:
        mean: (C,), the mean of each channel, in the model's input range.
        sigma: The typical Euclidean norm of an image less the mean.
    """

    mean: Floats
    sigma: float

    def apply(self, images: Floats) -> Floats:
        """Images in the model's input range, normalized."""
        return np.asarray((images - self.mean) / self.sigma, np.float32)

    def undo(self, normalized: Any) -> Any:
        """The inverse of `apply`, for arrays and tensors."""
        return self.mean + self.sigma * normalized


@dataclass(frozen=True)
class Weights:
    """The weights of the α-norm, of the total variation and of the representation error."""

    alpha: float
    variation: float
    data: float = 1.0


def normalization(preprocess: Preprocess, sigma: float | None) -> Normalization:
    """The mean and σ of MNIST's training images for a model of digits, else a guess from the model's input range.

    The guess: the mean is the middle of the range, and the numbers of an image deviate from it by `SPREAD` of the range.

    Args:
        preprocess: The model's input.
        sigma: Taken in the place of the measured or guessed one.
    """
    width = preprocess.white - preprocess.black
    if preprocess.digits and preprocess.shape == (28, 28, 1):
        mean, norm = _digits()
        middle, typical = preprocess.black + mean / 255 * width, norm / 255 * float(width[0])
    else:
        middle, typical = preprocess.gray, SPREAD * math.sqrt(preprocess.height * preprocess.width * float((width**2).sum()))
    return Normalization(np.asarray(middle, np.float32), typical if sigma is None else sigma)


@functools.cache
def _digits() -> tuple[float, float]:
    """The mean of MNIST's training images, 0–255, and the mean norm of what remains of an image without it."""
    pixels = mnist("train")[0].reshape(-1, 28 * 28)
    sums, squares = pixels.sum(axis=1), np.einsum("ij,ij->i", pixels, pixels, dtype=np.int64)
    mean = float(sums.sum() / pixels.size)
    norms = np.sqrt(squares - 2 * mean * sums + pixels.shape[1] * mean**2)
    return mean, float(norms.mean())


def weights(classifier: Classifier, layer: str, alpha: float | None, variation: float | None) -> Weights:
    """The paper's weights, scaled to the size of the model's input.

    An image of norm 1 with M numbers of like magnitude has ‖x‖₆⁶ = M · (M^-½)⁶ = M⁻², hence λ_α ∝ M². A smooth image of norm
    1 resampled to H × W pixels has HW differences of neighbors, each ∝ 1 / √(HW) of a value that is itself ∝ 1 / √(HW):
    its total variation is ∝ 1 / HW, hence λ_V ∝ HW. The early, middle and deep layers are the first, second and last third
    of `Classifier.layers`; the logits count as the last layer and the input as the first.

    Args:
        classifier: The model.
        layer: Whose representation is inverted.
        alpha: Taken in the place of the derived λ_α.
        variation: Taken in the place of the derived λ_V.
    """
    height, width, channels = classifier.preprocess.shape
    share = ALPHA_SHARE * (height * width * channels / NUMBERS) ** 2
    return Weights(
        ALPHA_WEIGHT * share if alpha is None else alpha,
        VARIATION_WEIGHTS[third(classifier, layer)] * height * width / SIDE**2 if variation is None else variation,
    )


def third(classifier: Classifier, layer: str) -> int:
    """Whether a layer is early (0), middle (1) or deep (2): of the first, second or last third of `Classifier.layers`."""
    places = {"input": 0, **{each.name: place for place, each in enumerate(classifier.layers)}}
    return 3 * places.get(layer, len(classifier.layers) - 1) // len(classifier.layers)


def alpha_norm(x: Any) -> Any:
    """‖x‖_α^α of each image, (N,)."""
    return keras.ops.sum(keras.ops.abs(x) ** ALPHA, axis=(1, 2, 3))


def total_variation(x: Any) -> Any:
    """Σ (x_{i,j+1} − x_ij)² + (x_{i+1,j} − x_ij)² of each image, (N,): the paper's with β = 2."""
    across, down = x[:, :, 1:] - x[:, :, :-1], x[:, 1:] - x[:, :-1]
    return keras.ops.sum(across**2, axis=(1, 2, 3)) + keras.ops.sum(down**2, axis=(1, 2, 3))


def norms(values: Floats) -> Floats:
    """The Euclidean norm of each of N arrays, (N,)."""
    return np.asarray(np.linalg.norm(np.asarray(values, np.float64).reshape(len(values), -1), axis=1))


def errors(found: Floats, wanted: Floats, sizes: Floats) -> Floats:
    """‖found − wanted‖² / size² of each of N arrays, (N,); where a size is 0, ‖found − wanted‖² itself."""
    return np.asarray((norms(found - wanted) / divisors(sizes)) ** 2)


def divisors(sizes: Floats) -> Floats:
    """The sizes, with 1 for 0, so that what is divided by it stays as it is."""
    return np.where(sizes > 0, sizes, 1)


def loss(
    classifier: Classifier, layer: str, wanted: Floats, scale: Normalization, weights: Weights
) -> Callable[[Floats, int], tuple[Floats, Floats]]:
    """‖Φ(mean + σx) − Φ0‖² / ‖Φ0‖² + λ_α ‖x‖_α^α + λ_V Σ |∇x|², compiled.

    Args:
        classifier: The model.
        layer: Whose output is Φ.
        wanted: Φ0 of each image, (N, *shape of the layer). Where it is zero, the first term is ‖Φ‖² itself.
        scale: The mean and σ.
        weights: λ_α and λ_V.

    Returns:
        (normalized images (N, H, W, C), number of the step) ↦ the values (N,) and their gradients (N, H, W, C).
    """
    shape = classifier.layer(layer).shape
    one = (1,) * len(shape)
    # What differs between calls is given to the function, for each image, and is no part of it, so that it is compiled once.
    given = [
        wanted,
        divisors(norms(wanted)).reshape(-1, *one),
        *(np.full(len(wanted), weight, np.float32) for weight in (weights.alpha, weights.variation)),
        np.tile(scale.mean, (len(wanted), 1, 1, 1)),
        np.full((len(wanted), 1, 1, 1), scale.sigma, np.float32),
    ]
    compiled = classifier.differentiable(_value, [layer], [each.shape[1:] for each in given], seen=_shown)
    return lambda x, _: compiled(x, *given)


def _value(outputs: dict[str, Any], x: Any, wanted: Any, size: Any, alpha: Any, variation: Any, *_: Any) -> Any:
    (output,) = outputs.values()
    return data(output, wanted, size) + alpha * alpha_norm(x) + variation * total_variation(x)


def data(output: Any, wanted: Any, size: Any) -> Any:
    """‖Φ − Φ0‖² / size² of each image, (N,)."""
    # Divided before they are squared, neither very small nor very large representations leave the range of float32.
    return keras.ops.sum(((output - wanted) / size) ** 2, axis=tuple(range(1, len(output.shape))))


def _shown(x: Any, *given: Any) -> Any:
    mean, sigma = given[-2:]
    return Normalization(mean, sigma).undo(x)
