"""Images that excite units the most: x* = argmax a(x) − R(x) by gradient ascent, for several units at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from cnnexplain.numerics import blurred
from cnnexplain.optimize import adam, minimize
from cnnexplain_plugins.activation_maximization.parametrization import PARAMETRIZATIONS
from cnnexplain_plugins.activation_maximization.regularization import Regularization, total_variation
from cnnexplain_plugins.activation_maximization.scores import scores, stacked
from cnnexplain_plugins.activation_maximization.views import View

if TYPE_CHECKING:
    from cnnexplain import Classifier, Floats, Objective

NOISES, CONTRAST, GRAIN = 64, 0.3, 14
"""How many noises a unit chooses its starts from; their standard deviation, in parts of the input range; and how many grains
lie along the longer side, each as wide as the standard deviation of a blur. A unit behind a ReLU has no gradient where it is
off, and most noises without any structure leave the deeper units off."""


@dataclass(frozen=True)
class Maximum:
    """Where the ascent for one unit ended.

    Args:
        image: (H, W, C) in the model's input range, the picture at its own size.
        value: Of the unit for the picture as `shown`; not finite where the model gives no finite one.
        stopped: Why the ascent ended before its last step, or None.
        moved: Whether the unit had a gradient at any of its starts.
        shown: (h, w, C), the whole picture at the size of the model's input.
        view_value: The unit's mean value over views that were not optimized; None for a picture of the input's size.
        opacity: (H, W), how much each pixel mattered: the sum over steps of |∂a/∂u|; None where it wasn't asked for.
    """

    image: Floats
    value: float
    stopped: str | None
    moved: bool
    shown: Floats
    view_value: float | None = None
    opacity: Floats | None = None


def maximize(
    classifier: Classifier,
    objectives: Sequence[Objective],
    regularization: Regularization,
    *,
    steps: int,
    starts: int,
    seed: int,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> list[Maximum]:
    """For each unit the image that excites it the most, of those that its ascents from several starts reach.

    The starts are those of `NOISES` random pictures that excite it the most. All units choose from the same pictures and are
    seen in the same views, so that none depends on what it is asked with but by rounding.

    Args:
        classifier: Whose units.
        objectives: The units, or sums of them.
        regularization: What keeps the pictures regular.
        steps: Of an ascent.
        starts: From how many noises, at most `NOISES`, each unit ascends; the one that ends highest in a(x) − R(x) is kept.
        seed: Decides the noise and the views.
        progress: Called with how many steps are done, and of how many.

    Raises:
        UsageError: The model has no such class, layer or unit.
        ModelError: Nothing is finite at the start.
    """
    noise, views = np.random.default_rng(seed).spawn(2)
    ascent = Ascent(classifier, [each for each in objectives for _ in range(starts)], starts, regularization, views)
    height, width, channels = classifier.preprocess.shape
    smooth = blurred(noise.normal(size=(NOISES, height, width, channels)), max(height, width) / GRAIN)
    noises = ascent.variables(CONTRAST * smooth / smooth.std(axis=(1, 2, 3), keepdims=True))
    excited = scores(classifier, ascent.images(noises), objectives)
    chosen = np.argsort(-np.nan_to_num(excited, nan=-np.inf), axis=0, kind="stable")[:starts]
    optimum = minimize(
        ascent.loss,
        noises[chosen.T.ravel()],
        adam(lambda _: regularization.rate),
        steps,
        keep=ascent.keep,
        progress=progress,
    )
    images = ascent.images(optimum.variables)
    pictures = np.arange(len(images))
    values = scores(classifier, images, objectives)[pictures, pictures // starts]
    reached = -ascent.regularized(values, ascent.space.picture(optimum.variables))
    # A start that ends at no finite value is kept only where all do.
    best = np.where(np.isfinite(reached), reached, -np.inf).reshape(-1, starts).argmax(axis=1)
    return [
        Maximum(
            images[index], float(values[index]), optimum.stopped[index], bool(ascent.steepness[index] > 0), images[index]
        )
        for index in best + starts * np.arange(len(objectives))
    ]


class Ascent:
    """The loss λ TV − a, and the regularizers that follow a step, for pictures that each ascend for themselves.

    A picture z is measured in parts of the model's input range from its origin, which 0 is: x = origin + span · z.

    Args:
        classifier: Whose units.
        objectives: N of them, one for each picture, the `starts` pictures of a unit side by side.
        starts: How many pictures each unit has.
        regularization: What keeps the pictures regular.
        random: Draws the views.
    """

    def __init__(
        self,
        classifier: Classifier,
        objectives: Sequence[Objective],
        starts: int,
        regularization: Regularization,
        random: np.random.Generator,
    ) -> None:
        seeds = stacked(classifier, objectives)
        self.space = PARAMETRIZATIONS[regularization.parametrization](*classifier.preprocess.shape[:2])
        self.steepness = np.zeros(len(objectives))
        self._starts, self._regularization, self._random = starts, regularization, random
        self._low, self._high = classifier.preprocess.black, classifier.preprocess.white
        self._origin, self._span = classifier.preprocess.background, self._high - self._low
        self._weights = list(seeds.values())
        self._score = classifier.differentiable(_sum, list(seeds), [weights.shape[1:] for weights in self._weights])

    def loss(self, variables: Floats, number: int) -> tuple[Floats, Floats]:
        """λ TV(z) − a(x) / s and its gradient, x being shown in another view at each step.

        s is the root mean square over the pixels of ∂a/∂z at the unit's steepest start, so that λ means the same for the
        logit of a class and the mean of a feature map.
        """
        z = self.space.picture(variables)
        view = View.draw(self._regularization, z.shape[1:3], self._random)
        values, gradient = self._score(self._origin + self._span * view.show(z), *self._weights)
        self._slope = self._span * view.adjoint(gradient)
        if not number:
            steepness = np.nan_to_num(np.sqrt((self._slope**2).mean(axis=(1, 2, 3))), posinf=0)
            self.steepness = steepness.reshape(-1, self._starts).max(axis=1).repeat(self._starts)
        slope = self._regularization.total_variation * total_variation(z)[1]
        slope -= self._slope / self._scale[:, None, None, None]
        return self.regularized(values, z), self.space.adjoint(slope)

    def regularized(self, values: Floats, z: Floats) -> Floats:
        """λ TV(z) − a / s, (N,), for the values a of the pictures."""
        return self._regularization.total_variation * total_variation(z)[0] - values / self._scale

    def keep(self, variables: Floats, number: int) -> Floats:
        """The pictures after a step, regularized and within the model's input range."""
        return self.variables(self._regularization.keep(self.space.picture(variables), self._slope, number))

    def variables(self, z: Floats) -> Floats:
        """What is optimized, for pictures that are first brought into the model's input range."""
        least, most = (self._low - self._origin) / self._span, (self._high - self._origin) / self._span
        return self.space.coefficients(np.clip(z, least, most))

    def images(self, variables: Floats) -> Floats:
        """(N, H, W, C) in the model's input range."""
        x = self._origin + self._span * self.space.picture(variables)
        return np.asarray(np.clip(x, self._low, self._high), np.float32)

    @property
    def _scale(self) -> Floats:
        """s; 1 for a unit without a gradient."""
        return np.where(self.steepness > 0, self.steepness, 1)


def _sum(outputs: dict[str, Any], _: Any, *weights: Any) -> Any:
    """a(x): the layers' numbers, each times its weight, added up."""
    products = [output * weight for output, weight in zip(outputs.values(), weights, strict=True)]
    return sum(keras.ops.sum(product, axis=tuple(range(1, len(product.shape)))) for product in products)
