"""The parts of the ascent of pixels that are compiled, for `optimize.minimize_compiled`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from keras import ops

from cnnexplain.optimize import compiled_is_faster
from cnnexplain_plugins.activation_maximization.regularization import Regularization, variation
from cnnexplain_plugins.activation_maximization.views import show


def compilable(regularization: Regularization) -> bool:
    """Whether the loop is compiled: for pixels that are neither blurred nor cleared by a percentile, where it is faster."""
    cleared = regularization.norm_percentile or regularization.contribution_percentile
    pixels = regularization.parametrization == "pixels" and not (regularization.blur or cleared)
    return pixels and compiled_is_faster()


@dataclass(frozen=True)
class Loss:
    """λ TV(z) − a(x) / s, for `optimize.minimize_compiled`; see `Ascent`.

    Args:
        origin: A number for each channel.
        span: A number for each channel.
        variation: λ.
    """

    origin: tuple[float, ...]
    span: tuple[float, ...]
    variation: float

    def __call__(self, outputs: Callable[[Any], dict[str, Any]], z: Any, *others: Any) -> Any:
        """(outputs of images, z, weights, …, s, numbers of the view) ↦ the loss, (N,)."""
        *weights, scale, numbers = others
        origin, span = (np.asarray(each, np.float32) for each in (self.origin, self.span))
        images = ops.add(ops.multiply(show(z, numbers), span), origin)
        loss = -weighted_sum(outputs(images), z, *weights) / scale
        return loss + self.variation * variation(z) if self.variation else loss


@dataclass(frozen=True)
class Keep:
    """Decay, and a clip to the model's input range, for `optimize.minimize_compiled`; see `Ascent.keep`.

    Args:
        least: The least z for each channel.
        most: The largest z for each channel.
        decay: As in `Regularization`.
    """

    least: tuple[float, ...]
    most: tuple[float, ...]
    decay: float

    def __call__(self, z: Any, *_: Any) -> Any:
        """The pictures after a step."""
        least, most = (np.asarray(each, np.float32) for each in (self.least, self.most))
        return ops.minimum(ops.maximum((1 - self.decay) * z, least), most)


def weighted_sum(outputs: dict[str, Any], _: Any, *weights: Any) -> Any:
    """a(x): the weighted sum of the layers' outputs."""
    products = [output * weight for output, weight in zip(outputs.values(), weights, strict=True)]
    return sum(ops.sum(product, axis=tuple(range(1, len(product.shape)))) for product in products)
