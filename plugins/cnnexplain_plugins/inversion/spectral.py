"""Inversion of photographs by optimizing their spectrum in decorrelated colors (Olah et al. 2017)."""

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
    from jaxtyping import Float32

    from cnnexplain import Classifier, Preprocess

STEPS = 300
"""The default number of steps."""

RATES, WARM_UP, DECAY = (0.2, 0.2, 0.15), 10, 0.4
"""Adam's learning rate for early, middle and deep layers, the steps in which it rises, and the share in which it falls."""

DEVIATION = 0.2
"""The standard deviation of the initial coefficients, about a third of a photograph's."""

WEIGHTS = ((0.01, 4.0), (0.01, 8.0), (0.01, 8.0))
"""The weights of the α-norm and the total variation for early, middle and deep layers."""

DEEP_RELU = (0.06, 30.0)
"""The same for a deep layer whose ReLU passes the full gradient, which would drive the picture to black and white."""


def descent(
    classifier: Classifier,
    layer: str,
    code: Float32[np.ndarray, " N *shape"],
    weights: loss.Weights,
    steps: int | None,
    seed: int,
) -> Descent:
    """The descent that inverts a layer by optimizing the spectrum.

    It minimizes ‖Φ(x) − Φ0‖² / ‖Φ0‖² + α · mean z² + λ · mean |∇u|² over the spectrum S, where z = y · M is the unbounded
    picture of the spectrum in the model's colors, u = sigmoid(z) lies in (0, 1), and x = low + u · (high − low); means are
    over all pixels and channels. If Φ is the output of a ReLU, its slope is taken as 1. Otherwise units at 0 or at the
    ceiling would have no gradient, and for noise, most units of the last layers are in this state.
    """
    preprocess = classifier.preprocess
    height, width, channels = preprocess.shape
    shape = (1, 2, channels, height, width // 2 + 1)
    start = np.random.default_rng(seed).normal(0, DEVIATION, shape).astype(np.float32)
    count, steps = len(code), STEPS if steps is None else steps
    before, highest = classifier.before_relu(layer), RATES[loss.third(classifier, layer)]
    return Descent(
        [layer] if before is None else [layer, before],
        np.repeat(start, count, axis=0),
        steps,
        optimize.adam(lambda number: rate(number, steps, highest)),
        value(preprocess),
        [code, loss.sizes(code), *(np.full(count, weight, np.float32) for weight in (weights.alpha, weights.variation))],
        lambda coefficients: ops.convert_to_numpy(bounded_images(unbounded(coefficients, preprocess), preprocess)),
        lambda coefficients: terms(unbounded(coefficients, preprocess)),
        weights,
    )


def weights(classifier: Classifier, layer: str, alpha: float | None, variation: float | None) -> loss.Weights:
    """The weights for the depth of the layer, unless they are given."""
    third = loss.third(classifier, layer)
    norm, total = WEIGHTS[third] if third < 2 or classifier.before_relu(layer) is None else DEEP_RELU
    return loss.Weights(norm if alpha is None else alpha, total if variation is None else variation)


def rate(number: int, steps: int, highest: float) -> float:
    """The learning rate at a step: it rises for `WARM_UP` steps, and falls along half a cosine for the last `DECAY`."""
    left = min(1, (1 - number / steps) / DECAY)
    return highest * min(1, (number + 1) / WARM_UP) * (1 - math.cos(math.pi * left)) / 2


def unbounded(coefficients: Any, preprocess: Preprocess) -> Any:
    """The unbounded picture z = y · M (N, H, W, C) in the channel order of the model; without M for gray."""
    height, width, channels = preprocess.shape
    y = spectrum.from_spectrum(coefficients, spectrum.falloff(height, width), width)
    return y if channels == 1 else ops.matmul(y, preprocess.swap(spectrum.COLORS).copy())


def terms(z: Any) -> tuple[Any, Any]:
    """The means of z² and of |∇ sigmoid z|² over each picture, (N,)."""
    return ops.mean(z**2, axis=(1, 2, 3)), loss.total_variation(ops.sigmoid(z)) / math.prod(z.shape[1:])


def bounded_images(z: Any, preprocess: Preprocess) -> Any:
    """The picture in the model's input range, low + sigmoid(z) · (high − low)."""
    return ops.add(ops.multiply(ops.sigmoid(z), preprocess.white - preprocess.black), preprocess.black)


# Cached for each kind of input, so that the code compiled for it is reused.
@functools.cache
def value(preprocess: Preprocess) -> Callable[..., Any]:
    """(outputs of the layer, and of the layer before its ReLU; coefficients, Φ0, ‖Φ0‖, α, λ) ↦ the loss, (N,)."""

    def minimized(
        outputs: Callable[[Any], dict[str, Any]], coefficients: Any, code: Any, size: Any, alpha: Any, variation: Any
    ) -> Any:
        z = unbounded(coefficients, preprocess)
        output, *before = outputs(bounded_images(z, preprocess)).values()
        if before:
            output = before[0] + ops.stop_gradient(output - before[0])
        norm, total = terms(z)
        return loss.data(output, code, size) + alpha * norm + variation * total

    return minimized
