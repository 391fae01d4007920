"""The loss of an inversion (Mahendran & Vedaldi 2015, arXiv:1412.0035, section 2), over normalized images.

A normalized image x represents the image mean + σx: a typical image has norm 1, whatever the model's input range.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from keras import ops

from cnnexplain.plugin import with_pullback

if TYPE_CHECKING:
    from jaxtyping import Float, Float32

    from cnnexplain import Classifier, Preprocess

ALPHA = 6
"""The paper's exponent of the α-norm."""

ALPHA_WEIGHT, VARIATION_WEIGHTS = 2.16e8, (0.5, 5.0, 50.0)
"""The paper's weights for its own inputs: λ_α, and λ_V for early, middle and deep layers."""

ALPHA_SHARE = 0.01
"""The factor applied to the paper's λ_α, which in full would dim what is bright, digits above all."""

SIDE, NUMBERS = 227, 227 * 227 * 3
"""The side of the paper's inputs, and the number of their values."""

SPREAD = 0.25
"""The root mean square deviation of images from the mean, as a share of the input range, if it is not measured."""


@dataclass(frozen=True)
class Normalization:
    """The normalization of images.

    Args:
        mean: The mean of each channel, in the model's input range.
        sigma: The typical Euclidean norm of a mean-subtracted image.
    """

    mean: Float32[np.ndarray, " C"]
    sigma: float

    def apply(self, images: Float[np.ndarray, "N H W C"]) -> Float32[np.ndarray, "N H W C"]:
        """Normalizes images in the model's input range."""
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
    """The mean and σ of the training images if the input has a preset, such as MNIST's; otherwise estimates from its range.

    The estimate: the mean is the middle of the range, and the values of an image deviate from it by `SPREAD` of the range.

    Args:
        preprocess: The model's preprocessing.
        sigma: Replaces the measured or estimated σ.
    """
    width = preprocess.white - preprocess.black
    preset = preprocess.preset
    if preset is not None and preset.shape == preprocess.shape:
        mean, norm = _statistics(preset.dataset)
        middle, typical = preprocess.black + mean / 255 * width, norm / 255 * float(width[0])
    else:
        middle, typical = preprocess.gray, SPREAD * math.sqrt(preprocess.height * preprocess.width * float((width**2).sum()))
    return Normalization(np.asarray(middle, np.float32), typical if sigma is None else sigma)


@functools.cache
def _statistics(dataset: Any) -> tuple[float, float]:
    """The mean of the training images of a data set, 0–255, and the mean norm of the images after subtracting it."""
    images, _ = dataset.load("train")
    pixels = images.reshape(len(images), -1)
    sums, squares = pixels.sum(axis=1), np.einsum("ij,ij->i", pixels, pixels, dtype=np.int64)
    mean = float(sums.sum() / pixels.size)
    norms = np.sqrt(squares - 2 * mean * sums + pixels.shape[1] * mean**2)
    return mean, float(norms.mean())


def weights(classifier: Classifier, layer: str, alpha: float | None, variation: float | None) -> Weights:
    """The paper's weights, scaled to the size of the model's input.

    An image of norm 1 with M values of similar magnitude has ‖x‖₆⁶ = M · (M^-½)⁶ = M⁻², hence λ_α ∝ M². A smooth image of
    norm 1 resampled to H × W pixels has HW differences of neighbors, each ∝ 1 / √(HW) of a value that is itself ∝ 1 / √(HW):
    its total variation is ∝ 1 / HW, hence λ_V ∝ HW. The early, middle and deep layers are the first, second and last third
    of `Classifier.layers`; the logits count as the last layer and the input as the first.

    Args:
        classifier: The model.
        layer: The layer whose representation is inverted.
        alpha: Replaces the derived λ_α.
        variation: Replaces the derived λ_V.
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
    return ops.sum(ops.abs(x) ** ALPHA, axis=(1, 2, 3))


def total_variation(x: Any) -> Any:
    """Σ (x_{i,j+1} − x_ij)² + (x_{i+1,j} − x_ij)² of each image, (N,): the paper's with β = 2."""
    # The gradients of the slices would take several times as long.
    return with_pullback(_variation, _variation_slope)(ops.convert_to_tensor(x))


def _variation(x: Any) -> Any:
    return sum(ops.sum(ops.square(ops.diff(x, axis=axis)), axis=(1, 2, 3)) for axis in (1, 2))


def _variation_slope(x: Any, signal: Any) -> Any:
    scaled, slope = 2 * ops.reshape(signal, (-1, 1, 1, 1)) * x, 0
    for axis in (1, 2):
        border = [(int(place == axis), int(place == axis)) for place in range(4)]
        slope = slope - ops.diff(ops.pad(ops.diff(scaled, axis=axis), border), axis=axis)
    return slope


def norms(values: Float[np.ndarray, "N ..."]) -> Float[np.ndarray, " N"]:
    """The Euclidean norm of each of N arrays."""
    return np.asarray(np.linalg.norm(np.asarray(values, np.float64).reshape(len(values), -1), axis=1))


def errors(
    values: Float[np.ndarray, " N *shape"], reference: Float[np.ndarray, " N *shape"], sizes: Float[np.ndarray, " N"]
) -> Float[np.ndarray, " N"]:
    """‖values − reference‖² / size² of each of N arrays; ‖values − reference‖² if the size is 0."""
    return np.asarray((norms(values - reference) / divisors(sizes)) ** 2)


def divisors(sizes: Float[np.ndarray, " N"]) -> Float[np.ndarray, " N"]:
    """The sizes, with 1 instead of 0, so that dividing by it changes nothing."""
    return np.where(sizes > 0, sizes, 1)


def sizes(code: Float32[np.ndarray, " N *shape"]) -> Float32[np.ndarray, "N ..."]:
    """‖Φ0‖ of each image, or 1 if it is zero, with as many axes as Φ0."""
    return divisors(norms(code)).astype(np.float32).reshape(-1, *(1,) * (code.ndim - 1))


def data(output: Any, code: Any, size: Any) -> Any:
    """‖Φ − Φ0‖² / size² of each image, (N,)."""
    # The division comes before the square, so that very small and very large representations stay in the range of float32.
    return ops.sum(((output - code) / size) ** 2, axis=tuple(range(1, len(output.shape))))
