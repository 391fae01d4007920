"""Inversion of pixels as in Mahendran & Vedaldi 2016 (IJCV 120): with bounded colors, and jitter in each step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from keras import ops

from cnnexplain import optimize
from cnnexplain_plugins.inversion import loss
from cnnexplain_plugins.inversion.descent import Descent, Loss

if TYPE_CHECKING:
    from jaxtyping import Float32

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
    layers: Sequence[str],
    codes: Sequence[Float32[np.ndarray, "N ..."]],
    weights: Sequence[loss.Weights],
    steps: int | None,
    seed: int,
) -> Descent:
    """The descent that inverts layers by optimizing bounded pixels with jitter.

    For each layer, it minimizes C · ‖Φ(shifted x) − Φ0‖² / ‖Φ0‖² + α · mean ‖v‖⁶ + λ · mean |∇v|² over v = (x − mean) / B,
    with means over pixels, ‖v‖ the norm of a color, and the paper's α = 1 and λ = 6.5². After each step, colors with ‖v‖ > 2
    are scaled back to 2. In each step the image is shifted vertically and horizontally by up to max(1, stride / 4) pixels,
    repeating the pixels at the border.
    """
    low, high = classifier.preprocess.black, classifier.preprocess.white
    steps = STEPS if steps is None else steps
    still, shifts = round((1 - STILL) * steps), []
    for layer in layers:
        max_shift, random = jitter(classifier, layer), np.random.default_rng(seed)
        start = random.normal(0, DEVIATION, classifier.preprocess.shape).astype(np.float32)
        shifts.append(random.integers(-max_shift, max_shift + 1, (steps + 1, 2)))
        shifts[-1][still:] = 0
    mean, bound = (
        np.tile(each, (len(codes[0]), 1, 1, 1, 1)).astype(np.float32)
        for each in (classifier.preprocess.gray, BOUND * np.abs(high - low))
    )
    return Descent(
        Loss(tuple((layer,) for layer in layers), ops.convert_to_tensor, show, terms),
        codes,
        weights,
        ops.convert_to_numpy(bounded(start)),
        steps,
        optimize.adam(lambda number: RATE * (1 if number < still else SLOWER)),
        lambda v: mean[:1] + bound[:1] * v,
        [mean, bound],
        schedule=[np.stack(shifts, axis=1).astype(np.float32)],
        keep=bounded,
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


def bounded(v: Any, *_: Any) -> Any:
    """Scales colors with a norm above 2 back to a norm of 2."""
    norm = ops.sqrt(ops.sum(ops.square(v), axis=-1, keepdims=True))
    return ops.multiply(v, ops.minimum(1, 2 / ops.maximum(norm, 1e-9)))


def terms(v: Any) -> tuple[Any, Any]:
    """The means of ‖v‖⁶ and of |∇v|² over the pixels of each image, (N,)."""
    pixels = v.shape[1] * v.shape[2]
    return ops.mean(ops.sum(ops.square(v), axis=-1) ** 3, axis=(1, 2)), loss.total_variation(v) / pixels


def shifted(x: Any, shift: Any) -> Any:
    """Images that are moved down and to the right by whole numbers of pixels, repeating the pixels at the border."""
    for axis, by in enumerate(ops.split(ops.cast(shift, "int32"), 2), start=1):
        x = ops.take(x, ops.clip(ops.arange(x.shape[axis]) - by, 0, x.shape[axis] - 1), axis=axis)
    return x


def show(v: Any, mean: Any, bound: Any, shifts: Any) -> Any:
    """Images (N, K, H, W, C), each of the K pictures shifted by its own row of (K, 2)."""
    x = mean + bound * v
    return ops.stack([shifted(x[:, place], shifts[place]) for place in range(x.shape[1])], axis=1)
