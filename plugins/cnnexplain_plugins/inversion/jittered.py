"""Inversion of pixels as in Mahendran & Vedaldi 2016 (IJCV 120): with bounded colors, and jitter in each step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops

from cnnexplain import optimize
from cnnexplain_plugins.inversion import loss
from cnnexplain_plugins.inversion.descent import Descent

if TYPE_CHECKING:
    from jaxtyping import Float, Float32

    from cnnexplain import Classifier

STEPS, STILL = 350, 1 / 7
"""The default number of steps, and the share of them, at the end, without jitter: the paper's 300 and 50."""

BOUND = 80 / 255
"""B, a typical distance of a color from the mean color, as a share of the input range; the maximum is twice that."""

VARIATION = 6.5
"""B divided by the paper's typical distance of two neighboring pixels."""

DATA_WEIGHTS = (300.0, 20.0, 1.0)
"""C, the weight of the representation error, for the early, the middle and the deep layers."""

RATE, SLOWER = 0.05, 0.1
"""Adam's learning rate with jitter, in multiples of B, and the factor that reduces it at the end."""

DEVIATION = 0.5
"""The standard deviation of the initial noise, in multiples of B."""


def descent(
    classifier: Classifier,
    layer: str,
    code: Float32[np.ndarray, " N *shape"],
    weights: loss.Weights,
    steps: int | None,
    seed: int,
) -> Descent:
    """The descent that inverts a layer by optimizing bounded pixels with jitter.

    It minimizes C · ‖Φ(shifted x) − Φ0‖² / ‖Φ0‖² + α · mean ‖v‖⁶ + λ · mean |∇v|² over v = (x − mean) / B, with means over
    pixels, ‖v‖ the norm of a color, and the paper's α = 1 and λ = 6.5². After each step, colors with ‖v‖ > 2 are scaled
    back to 2. In each step the image is shifted vertically and horizontally by up to max(1, stride / 4) pixels, repeating
    the pixels at the border.
    """
    low, high = classifier.preprocess.black, classifier.preprocess.white
    height, width, channels = classifier.preprocess.shape
    count, steps = len(code), STEPS if steps is None else steps
    max_shift, random = jitter(classifier, layer), np.random.default_rng(seed)
    start = random.normal(0, DEVIATION, (1, height, width, channels)).astype(np.float32)
    shifts = random.integers(-max_shift, max_shift + 1, (steps + 1, 2))
    still = round((1 - STILL) * steps)
    shifts[still:] = 0
    constants = [
        code,
        loss.divisors(loss.norms(code)).reshape(-1, *(1,) * (code.ndim - 1)),
        *(np.full(count, weight, np.float32) for weight in (weights.data, weights.alpha, weights.variation)),
        *(np.tile(each, (count, 1, 1, 1)) for each in (classifier.preprocess.gray, BOUND * np.abs(high - low))),
    ]
    shapes = [*(each.shape[1:] for each in constants), (height, height), (width, width)]
    compiled = classifier.differentiable(value, [layer], shapes, seen=shifted_images)

    def minimized(
        v: Float32[np.ndarray, "N H W C"], step: int
    ) -> tuple[Float[np.ndarray, " N"], Float[np.ndarray, "N H W C"]]:
        down, right = (
            np.tile(shift_matrix(side, by), (count, 1, 1)) for side, by in zip((height, width), shifts[step], strict=True)
        )
        return compiled(v, *constants, down, right)

    return Descent(
        bounded(np.repeat(start, count, axis=0)),
        steps,
        optimize.adam(lambda number: RATE * (1 if number < still else SLOWER)),
        minimized,
        lambda v: np.asarray(constants[-2] + constants[-1] * v, np.float32),
        terms,
        weights,
        keep=lambda v, _: bounded(v),
        best=False,
    )


def weights(classifier: Classifier, layer: str, alpha: float | None, variation: float | None) -> loss.Weights:
    """The paper's weights for the depth of the layer, unless they are given."""
    return loss.Weights(
        1.0 if alpha is None else alpha,
        VARIATION**2 if variation is None else variation,
        DATA_WEIGHTS[loss.third(classifier, layer)],
    )


def jitter(classifier: Classifier, layer: str) -> int:
    """The maximum shift in pixels: a quarter of the stride of the layer, or of the last feature maps before it."""
    names = [each.name for each in classifier.layers]
    before = classifier.layers[: names.index(layer) + 1] if layer in names else classifier.layers if layer != "input" else ()
    strides = [classifier.preprocess.height / each.shape[0] for each in before if each.maps and each.shape[0] > 1]
    return max(1, round(strides[-1] / 4)) if strides else 1


def shift_matrix(side: int, by: int) -> Float32[np.ndarray, "side side"]:
    """The matrix that shifts a column of pixels down by `by`, repeating the pixel at the border."""
    return np.eye(side, dtype=np.float32)[np.clip(np.arange(side) - by, 0, side - 1)]


def bounded(v: Float[np.ndarray, "N H W C"]) -> Float32[np.ndarray, "N H W C"]:
    """Scales colors with a norm above 2 back to a norm of 2."""
    norm = np.linalg.norm(v, axis=-1, keepdims=True)
    return np.asarray(v * np.minimum(1, 2 / np.maximum(norm, 1e-9)), np.float32)


def terms(v: Any) -> tuple[Any, Any]:
    """The means of ‖v‖⁶ and of |∇v|² over the pixels of each image, (N,)."""
    pixels = v.shape[1] * v.shape[2]
    return ops.mean(ops.sum(ops.square(v), axis=-1) ** 3, axis=(1, 2)), loss.total_variation(v) / pixels


def shifted_images(v: Any, *constants: Any) -> Any:
    """(v, …, mean, B, matrices that shift rows and columns) ↦ the shifted images in the model's input range."""
    mean, bound, down, right = constants[-4:]
    return keras.ops.einsum("nij,njkc,nlk->nilc", down, mean + bound * v, right)


def value(outputs: dict[str, Any], v: Any, code: Any, size: Any, data: Any, alpha: Any, variation: Any, *_: Any) -> Any:
    """The loss, (N,)."""
    (output,) = outputs.values()
    norm, total = terms(v)
    return data * loss.data(output, code, size) + alpha * norm + variation * total
