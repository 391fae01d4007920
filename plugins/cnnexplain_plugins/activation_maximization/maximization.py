"""Images that activate units most: x* = argmax a(x) − R(x) by gradient ascent, for several units at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnexplain.numerics import blurred
from cnnexplain.optimize import adam, minimize, minimize_compiled
from cnnexplain_plugins.activation_maximization.compiled_ascent import Keep, Loss, compilable, weighted_sum
from cnnexplain_plugins.activation_maximization.parametrization import PARAMETRIZATIONS
from cnnexplain_plugins.activation_maximization.regularization import Regularization, total_variation
from cnnexplain_plugins.activation_maximization.scores import scores, stacked_weights
from cnnexplain_plugins.activation_maximization.starts import going_on
from cnnexplain_plugins.activation_maximization.views import View

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Float32

    from cnnexplain import Classifier, Objective
    from cnnexplain.optimize import Optimizer, Optimum

NOISES, CONTRAST, GRAIN = 64, 0.3, 14
"""The number of noise images among which the starts of a unit are chosen; their standard deviation, as a share of the input
range; and the number of grains along the longer side, each as wide as the standard deviation of the blur. A unit behind a
ReLU has no gradient if it is inactive, and most noise without structure leaves deeper units inactive."""


@dataclass(frozen=True)
class Maximum:
    """The result of the ascent for one unit.

    Args:
        image: The picture at its own size, in the model's input range.
        value: The value of the unit for `shown`; not finite if the model returns no finite value.
        stopped: Why the ascent ended before its last step, or None.
        moved: Whether the unit had a gradient at any of its starts.
        shown: The whole picture at the size of the model's input.
        view_value: The unit's mean value over views that were not optimized; None for a picture of the size of the input.
        opacity: How much each pixel mattered: the sum over steps of |∂a/∂u|; None if it was not requested.
    """

    image: Float32[np.ndarray, "H W C"]
    value: float
    stopped: str | None
    moved: bool
    shown: Float32[np.ndarray, "h w C"]
    view_value: float | None = None
    opacity: Float32[np.ndarray, "H W"] | None = None


def maximize(
    classifier: Classifier,
    objectives: Sequence[Objective],
    regularization: Regularization,
    *,
    steps: int,
    starts: int,
    seed: int,
    checks: Mapping[int, int] = MappingProxyType({}),
    progress: Callable[[int, int], None] = lambda *_: None,
) -> list[Maximum]:
    """For each unit the image that activates it most, among the results of its ascents from several starts.

    The starts are those of `NOISES` random pictures that activate the unit most. All units choose from the same pictures and
    are seen in the same views, so that the result for a unit does not depend on the other units, except for rounding.

    Args:
        classifier: The model.
        objectives: The units, or sums of them.
        regularization: How the pictures are regularized.
        steps: The number of steps of an ascent.
        starts: The number of starts for each unit, at most `NOISES`; the result with the largest a(x) − R(x) is kept.
        seed: Seed of the noise and the views.
        checks: Steps after which some starts end, and the number of those of a unit that go on.
        progress: Called with the number of steps done and in total.

    Raises:
        UsageError: The model has no such class, layer or unit.
        ModelError: No value is finite at the start.
    """
    noise, views = np.random.default_rng(seed).spawn(2)
    ascent = Ascent(classifier, [each for each in objectives for _ in range(starts)], starts, regularization, views)
    height, width, channels = classifier.preprocess.shape
    smooth = blurred(noise.normal(size=(NOISES, height, width, channels)), max(height, width) / GRAIN)
    noises = ascent.variables(CONTRAST * smooth / smooth.std(axis=(1, 2, 3), keepdims=True))
    responses = scores(classifier, ascent.images(noises), objectives)
    chosen = np.argsort(-np.nan_to_num(responses, nan=-np.inf), axis=0, kind="stable")[:starts]
    start, step = noises[chosen.T.ravel()], adam(lambda _: regularization.rate)
    optimum = (
        ascent.ascend(start, step, steps, checks, progress)
        if compilable(regularization)
        else minimize(ascent.loss, start, step, steps, keep=ascent.keep, select=ascent.select(checks), progress=progress)
    )
    images = ascent.images(optimum.variables)
    pictures = np.arange(len(images))
    values = scores(classifier, images, objectives)[pictures, pictures // starts]
    reached = -ascent.regularized(values, ascent.space.picture(optimum.variables))
    # A start that does not end at a finite value is kept only if none does.
    comparable = np.isfinite(reached) & np.isin(pictures, ascent.going)
    best = np.where(comparable, reached, -np.inf).reshape(-1, starts).argmax(axis=1)
    return [
        Maximum(
            images[index], float(values[index]), optimum.stopped[index], bool(ascent.steepness[index] > 0), images[index]
        )
        for index in best + starts * np.arange(len(objectives))
    ]


class Ascent:
    """The loss λ TV − a and the regularizers applied after a step, for pictures that do not affect each other.

    A picture z is a difference from the origin, in units of the model's input range: x = origin + span · z.

    Args:
        classifier: The model.
        objectives: N units, one for each picture, the `starts` pictures of a unit next to each other.
        starts: The number of pictures of each unit.
        regularization: How the pictures are regularized.
        random: Draws the views.

    Attributes:
        going: The indices of the pictures that go on.
    """

    def __init__(
        self,
        classifier: Classifier,
        objectives: Sequence[Objective],
        starts: int,
        regularization: Regularization,
        random: np.random.Generator,
    ) -> None:
        self._classifier, self._objectives = classifier, objectives
        weights = stacked_weights(classifier, objectives)
        self.space = PARAMETRIZATIONS[regularization.parametrization](*classifier.preprocess.shape[:2])
        self.steepness = np.zeros(len(objectives))
        self._starts, self._regularization, self._random = starts, regularization, random
        self._low, self._high = classifier.preprocess.black, classifier.preprocess.white
        self._origin, self._span = classifier.preprocess.background, self._high - self._low
        self._names, self._weights = list(weights), list(weights.values())
        self.going = np.arange(len(objectives))

    def ascend(
        self,
        start: Float[np.ndarray, "N H W C"],
        step: Optimizer,
        steps: int,
        checks: Mapping[int, int],
        progress: Callable[[int, int], None],
    ) -> Optimum:
        """Minimizes the loss of pixels in a compiled loop, for `compilable` regularizations."""
        settings, random = self._regularization, self._random
        first = View.draw(settings, start.shape[1:3], random)
        others = (View.draw(settings, start.shape[1:3], random) for _ in range(steps))
        shown = np.asarray(self._origin + self._span * first.show(start), np.float32)
        self._slope = self._span * first.adjoint(self._classifier.gradient(shown, self._objectives))
        self._measure(self._slope)
        origin, span = tuple(map(float, self._origin)), tuple(map(float, self._span))
        least, most = (tuple(map(float, each)) for each in self._limits)
        return minimize_compiled(
            self._classifier,
            Loss(origin, span, settings.total_variation),
            self._names,
            start,
            step,
            steps,
            arrays=[*self._weights, self._scale],
            schedule=[np.stack([first.numbers, *(each.numbers for each in others)])],
            keep=Keep(least, most, settings.decay),
            select=self.select(checks),
            checks=checks,
            progress=progress,
        )

    def loss(
        self, variables: Float[np.ndarray, "N ..."], step: int
    ) -> tuple[Float[np.ndarray, " N"], Float[np.ndarray, "N ..."]]:
        """λ TV(z) − a(x) / s and its gradient, for a different view of x in each step.

        s is the root mean square of ∂a/∂z over the pixels at the unit's steepest start. It makes λ mean the same for the
        logit of a class and the mean of a feature map.
        """
        z = self.space.picture(variables)
        view = View.draw(self._regularization, z.shape[1:3], self._random)
        weights = (each[self.going] for each in self._weights)
        values, gradient = self._score(self._origin + self._span * view.show(z), *weights)
        self._slope = self._span * view.adjoint(gradient)
        if not step:
            self._measure(self._slope)
        scale, factor = self._scale[self.going], self._regularization.total_variation
        variation, slope = total_variation(z)
        slope = factor * slope - self._slope / scale[:, None, None, None]
        return factor * variation - values / scale, self.space.adjoint(slope)

    def select(self, checks: Mapping[int, int]) -> Callable[[int, Sequence[Any]], Any]:
        """Chooses among the starts after some steps, for `minimize` and `minimize_compiled`.

        From then on, `loss` gets those that go on.
        """

        def select(number: int, values: Sequence[Float[np.ndarray, " N"]]) -> Bool[np.ndarray, " N"] | None:
            if number not in checks:
                return None
            flags = going_on(np.stack(values), self._starts, checks)
            # The regularizers of this step follow.
            self._slope = self._slope[flags[self.going]]
            self.going = np.flatnonzero(flags)
            return flags

        return select

    def regularized(self, values: Float[np.ndarray, " N"], z: Float[np.ndarray, "N H W C"]) -> Float[np.ndarray, " N"]:
        """λ TV(z) − a / s, for the values a of the pictures."""
        variation = self._regularization.total_variation * total_variation(z)[0]
        return np.asarray(variation - values / self._scale)

    def keep(self, variables: Float[np.ndarray, "N ..."], step: int) -> Float[np.ndarray, "N ..."]:
        """The variables after a step, regularized, with the pictures clipped to the model's input range."""
        return self.variables(self._regularization.keep(self.space.picture(variables), self._slope, step))

    def _measure(self, slope: Float[np.ndarray, "N H W C"]) -> None:
        """Sets s, from ∂a/∂z at the start."""
        steepness = np.nan_to_num(np.sqrt((slope**2).mean(axis=(1, 2, 3))), posinf=0)
        self.steepness = steepness.reshape(-1, self._starts).max(axis=1).repeat(self._starts)

    def variables(self, z: Float[np.ndarray, "N H W C"]) -> Float[np.ndarray, "N ..."]:
        """The variables that are optimized, for pictures that are first clipped to the model's input range."""
        return self.space.coefficients(np.clip(z, *self._limits))

    def images(self, variables: Float[np.ndarray, "N ..."]) -> Float32[np.ndarray, "N H W C"]:
        """The pictures in the model's input range."""
        x = self._origin + self._span * self.space.picture(variables)
        return np.asarray(np.clip(x, self._low, self._high), np.float32)

    @cached_property
    def _score(self) -> Callable[..., Any]:
        return self._classifier.differentiable(weighted_sum, self._names, [each.shape[1:] for each in self._weights])

    @property
    def _limits(self) -> tuple[Float[np.ndarray, " C"], Float[np.ndarray, " C"]]:
        """The least and the largest z."""
        return (self._low - self._origin) / self._span, (self._high - self._origin) / self._span

    @property
    def _scale(self) -> Float[np.ndarray, " N"]:
        """s; 1 for a unit without a gradient."""
        return np.where(self.steepness > 0, self.steepness, 1)
