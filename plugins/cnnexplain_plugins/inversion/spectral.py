"""Inversion of photographs: their spectrum is optimized in decorrelated colors (Olah et al. 2017), not their pixels."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from keras import ops

from cnnexplain import optimize
from cnnexplain.numerics import spectrum
from cnnexplain_plugins.inversion import loss
from cnnexplain_plugins.inversion.descent import Descent

if TYPE_CHECKING:
    from cnnexplain import Classifier, Floats, Preprocess

STEPS = 300
"""How many steps are taken unless it is said."""

RATES, WARM_UP, DECAY = (0.2, 0.2, 0.15), 10, 0.4
"""Adam's learning rate for the early, the middle and the deep layers, its steps of rising, and the share of its fall."""

DEVIATION = 0.2
"""The standard deviation of the coefficients at the start, about a third of a photograph's."""

WEIGHTS = ((0.01, 4.0), (0.01, 8.0), (0.01, 8.0))
"""The weights of the norm and of the total variation for the early, the middle and the deep layers."""

DEEP_RELU = (0.06, 30.0)
"""The same for a deep layer whose ReLU lets all of the gradient pass: it would drive the picture to black and white."""


def descent(
    classifier: Classifier, layer: str, wanted: Floats, weights: loss.Weights, steps: int | None, seed: int
) -> Descent:
    """How a layer is inverted by way of the spectrum.

    Minimized over S is ‖Φ(x) − Φ0‖² / ‖Φ0‖² + α · mean z² + λ · mean |∇u|², with z = y · M the picture of the spectrum in
    the model's colors, unbounded, u = sigmoid(z) that in (0, 1), and x = lo + u · (hi − lo); the means are over all pixels
    and channels. Where a ReLU returns Φ its own slope counts as 1: a unit that it holds at 0 or at its ceiling would have
    none, and from noise most units of the last layers are such.
    """
    preprocess = classifier.preprocess
    height, width, channels = preprocess.shape
    shape = (2, channels, height, width // 2 + 1)
    start = np.random.default_rng(seed).normal(0, DEVIATION, (1, *shape)).astype(np.float32)
    count, steps = len(wanted), STEPS if steps is None else steps
    given = [
        wanted,
        loss.divisors(loss.norms(wanted)).reshape(-1, *(1,) * (wanted.ndim - 1)),
        *(np.full(count, weight, np.float32) for weight in (weights.alpha, weights.variation)),
    ]
    before, highest = classifier.before_relu(layer), RATES[loss.third(classifier, layer)]
    compiled = classifier.differentiable(
        value(preprocess),
        [layer] if before is None else [layer, before],
        [each.shape[1:] for each in given],
        seen=shown(preprocess),
        variables=shape,
    )
    return Descent(
        np.repeat(start, count, axis=0),
        steps,
        optimize.adam(lambda number: rate(number, steps, highest)),
        lambda coefficients, _: compiled(coefficients, *given),
        lambda coefficients: np.asarray(ops.convert_to_numpy(shown(preprocess)(coefficients)), np.float32),
        lambda coefficients: terms(unbounded(coefficients, preprocess)),
        weights,
    )


def weights(classifier: Classifier, layer: str, alpha: float | None, variation: float | None) -> loss.Weights:
    """The weights for the layer's depth, but for those that are given."""
    third = loss.third(classifier, layer)
    norm, total = WEIGHTS[third] if third < 2 or classifier.before_relu(layer) is None else DEEP_RELU
    return loss.Weights(norm if alpha is None else alpha, total if variation is None else variation)


def rate(number: int, steps: int, highest: float) -> float:
    """The learning rate at a step: it rises for `WARM_UP` of them, and falls along half a cosine for the last `DECAY`."""
    left = min(1, (1 - number / steps) / DECAY)
    return highest * min(1, (number + 1) / WARM_UP) * (1 - math.cos(math.pi * left)) / 2


def unbounded(coefficients: Any, preprocess: Preprocess) -> Any:
    """The picture z = y · M (N, H, W, C) in the order of the model's channels, unbounded; gray has no M."""
    height, width, channels = preprocess.shape
    y = spectrum.from_spectrum(coefficients, spectrum.falloff(height, width), width)
    return y if channels == 1 else ops.matmul(y, preprocess.swap(spectrum.COLORS).copy())


def terms(z: Any) -> tuple[Any, Any]:
    """The means of z² and of |∇ sigmoid z|² over each picture, (N,)."""
    return ops.mean(z**2, axis=(1, 2, 3)), loss.total_variation(ops.sigmoid(z)) / math.prod(z.shape[1:])


# Made once for a kind of input, so that what is compiled for them is used again.
@functools.cache
def shown(preprocess: Preprocess) -> Callable[..., Any]:
    """(coefficients, …) ↦ the picture in the model's input range, lo + u · (hi − lo)."""
    low, high = preprocess.black, preprocess.white

    def image(coefficients: Any, *_: Any) -> Any:
        return ops.add(ops.multiply(ops.sigmoid(unbounded(coefficients, preprocess)), high - low), low)

    return image


@functools.cache
def value(preprocess: Preprocess) -> Callable[..., Any]:
    """(outputs of the layer, and of that before its ReLU; coefficients, Φ0, ‖Φ0‖, α, λ) ↦ what is minimized, (N,)."""

    def minimized(outputs: dict[str, Any], coefficients: Any, wanted: Any, size: Any, alpha: Any, variation: Any) -> Any:
        output, *before = outputs.values()
        if before:
            output = before[0] + ops.stop_gradient(output - before[0])
        norm, total = terms(unbounded(coefficients, preprocess))
        return loss.data(output, wanted, size) + alpha * norm + variation * total

    return minimized
