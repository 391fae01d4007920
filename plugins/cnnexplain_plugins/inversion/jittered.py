"""Inversion by pixels as in Mahendran & Vedaldi 2016 (IJCV 120): bounded colors, and images moved a little at each step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops

from cnnexplain import optimize
from cnnexplain_plugins.inversion import loss
from cnnexplain_plugins.inversion.descent import Descent

if TYPE_CHECKING:
    from cnnexplain import Array, Classifier, Floats

STEPS, STILL = 350, 1 / 7
"""How many steps are taken unless it is said, and the share of them, the last, without jitter: the paper's 300 and 50."""

BOUND = 80 / 255
"""B, a typical distance of a color from the mean one, as a part of the input range; none may be further than twice that."""

VARIATION = 6.5
"""B over the paper's typical distance of two neighboring pixels."""

DATA_WEIGHTS = (300.0, 20.0, 1.0)
"""C, the weight of the representation error, for the early, the middle and the deep layers."""

RATE, SLOWER = 0.05, 0.1
"""Adam's learning rate in multiples of B while images are moved, and the share of it that is taken at the end."""

DEVIATION = 0.5
"""The standard deviation of the noise at the start, in multiples of B."""


def descent(
    classifier: Classifier, layer: str, wanted: Floats, weights: loss.Weights, steps: int | None, seed: int
) -> Descent:
    """How a layer is inverted by way of bounded, moving pixels.

    Minimized over v = (x − mean) / B is C · ‖Φ(x moved) − Φ0‖² / ‖Φ0‖² + α · mean ‖v‖⁶ + λ · mean |∇v|², the means being
    over pixels and ‖v‖ the norm of a color, with the paper's α = 1 and λ = 6.5². After each step a color with ‖v‖ > 2 is
    brought back to 2. Each step moves the image by up to max(1, stride / 4) pixels down or up and right or left; what comes
    in at a border repeats it.
    """
    low, high = classifier.preprocess.black, classifier.preprocess.white
    height, width, channels = classifier.preprocess.shape
    count, steps = len(wanted), STEPS if steps is None else steps
    most, random = jitter(classifier, layer), np.random.default_rng(seed)
    start = random.normal(0, DEVIATION, (1, height, width, channels)).astype(np.float32)
    moves = random.integers(-most, most + 1, (steps + 1, 2))
    still = round((1 - STILL) * steps)
    moves[still:] = 0
    given = [
        wanted,
        loss.divisors(loss.norms(wanted)).reshape(-1, *(1,) * (wanted.ndim - 1)),
        *(np.full(count, weight, np.float32) for weight in (weights.data, weights.alpha, weights.variation)),
        *(np.tile(each, (count, 1, 1, 1)) for each in (classifier.preprocess.gray, BOUND * np.abs(high - low))),
    ]
    shapes = [*(each.shape[1:] for each in given), (height, height), (width, width)]
    compiled = classifier.differentiable(value, [layer], shapes, seen=shown)

    def minimized(v: Floats, number: int) -> tuple[Floats, Floats]:
        down, right = moves[number]
        return compiled(v, *given, np.tile(moved(height, down), (count, 1, 1)), np.tile(moved(width, right), (count, 1, 1)))

    return Descent(
        bounded(np.repeat(start, count, axis=0)),
        steps,
        optimize.adam(lambda number: RATE * (1 if number < still else SLOWER)),
        minimized,
        lambda v: np.asarray(given[-2] + given[-1] * v, np.float32),
        terms,
        weights,
        keep=lambda v, _: bounded(v),
        best=False,
    )


def weights(classifier: Classifier, layer: str, alpha: float | None, variation: float | None) -> loss.Weights:
    """The paper's weights for the layer's depth, but for those that are given."""
    return loss.Weights(
        1.0 if alpha is None else alpha,
        VARIATION**2 if variation is None else variation,
        DATA_WEIGHTS[loss.third(classifier, layer)],
    )


def jitter(classifier: Classifier, layer: str) -> int:
    """By how many pixels images are moved at most: a quarter of the stride of the layer, or of the last maps before it."""
    names = [each.name for each in classifier.layers]
    before = classifier.layers[: names.index(layer) + 1] if layer in names else classifier.layers if layer != "input" else ()
    strides = [classifier.preprocess.height / each.shape[0] for each in before if each.maps and each.shape[0] > 1]
    return max(1, round(strides[-1] / 4)) if strides else 1


def moved(side: int, by: int) -> Array:
    """The matrix (side, side) that moves a column of pixels down by so many, repeating the one at the border."""
    return np.eye(side, dtype=np.float32)[np.clip(np.arange(side) - by, 0, side - 1)]


def bounded(v: Floats) -> Floats:
    """Brings every color whose norm exceeds 2 back to it."""
    norm = np.linalg.norm(v, axis=-1, keepdims=True)
    return np.asarray(v * np.minimum(1, 2 / np.maximum(norm, 1e-9)), np.float32)


def terms(v: Any) -> tuple[Any, Any]:
    """The means of ‖v‖⁶ and of |∇v|² over the pixels of each image, (N,)."""
    pixels = v.shape[1] * v.shape[2]
    return ops.mean(ops.sum(ops.square(v), axis=-1) ** 3, axis=(1, 2)), loss.total_variation(v) / pixels


def shown(v: Any, *given: Any) -> Any:
    """(v, …, mean, B, the matrices that move rows and columns) ↦ what the network is shown."""
    mean, bound, down, right = given[-4:]
    return keras.ops.einsum("nij,njkc,nlk->nilc", down, mean + bound * v, right)


def value(outputs: dict[str, Any], v: Any, wanted: Any, size: Any, data: Any, alpha: Any, variation: Any, *_: Any) -> Any:
    """What is minimized, (N,)."""
    (output,) = outputs.values()
    norm, total = terms(v)
    return data * loss.data(output, wanted, size) + alpha * norm + variation * total
