"""Inversion of photographs by optimizing their spectrum in decorrelated colors (Olah et al. 2017)."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from keras import ops

from cnnexplain import optimize
from cnnexplain.numerics import spectrum
from cnnexplain_plugins.inversion import loss
from cnnexplain_plugins.inversion.descent import Descent, Loss

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
    layers: Sequence[str],
    codes: Sequence[Float32[np.ndarray, "N ..."]],
    weights: Sequence[loss.Weights],
    steps: int | None,
    seed: int,
) -> Descent:
    """The descent that inverts layers by optimizing the spectrum.

    For each layer, it minimizes ‖Φ(x) − Φ0‖² / ‖Φ0‖² + α · mean z² + λ · mean |∇u|² over the spectrum S, where z = y · M is
    the unbounded picture in the colors of the model, u = sigmoid(z) lies in (0, 1), and x = low + u · (high − low).
    Means are over all pixels and channels. If Φ is the output of a ReLU, its slope is taken as 1. Otherwise units at 0 or at
    the ceiling would have no gradient, and for noise, most units of the last layers are in this state.
    """
    preprocess = classifier.preprocess
    height, width, channels = preprocess.shape
    start = np.random.default_rng(seed).normal(0, DEVIATION, (2, channels, height, width // 2 + 1)).astype(np.float32)
    count = STEPS if steps is None else steps
    before = [classifier.before_relu(layer) for layer in layers]
    highest = np.array([RATES[loss.third(classifier, layer)] for layer in layers]).reshape(-1, *[1] * start.ndim)
    return Descent(
        Loss(
            tuple((layer,) if each is None else (layer, each) for layer, each in zip(layers, before, strict=True)),
            *functions(preprocess),
            terms,
        ),
        codes,
        weights,
        start,
        count,
        optimize.adam(lambda number: highest * rate(number, count)),
        lambda z: bounded_images(z, preprocess),
    )


def weights(classifier: Classifier, layer: str, alpha: float | None, variation: float | None) -> loss.Weights:
    """The weights for the depth of the layer, unless they are given."""
    third = loss.third(classifier, layer)
    norm, total = WEIGHTS[third] if third < 2 or classifier.before_relu(layer) is None else DEEP_RELU
    return loss.Weights(norm if alpha is None else alpha, total if variation is None else variation)


def rate(number: int, steps: int) -> float:
    """The learning rate at a step relative to the highest: it rises for `WARM_UP` steps, and falls for the last `DECAY`."""
    left = min(1, (1 - number / steps) / DECAY)
    return min(1, (number + 1) / WARM_UP) * (1 - math.cos(math.pi * left)) / 2


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


# Cached for each kind of input, so that the code compiled for them is reused.
@functools.cache
def functions(preprocess: Preprocess) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    """Coefficients ↦ unbounded pictures, and these ↦ images."""
    return partial(unbounded, preprocess=preprocess), partial(bounded_images, preprocess=preprocess)
