"""What is maximized for pictures that are optimized by their spectrum: mean values over random views, and diversity."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from keras import ops

from cnnexplain.errors import UsageError
from cnnexplain.optimize import NO_GRADIENT, minimize_compiled
from cnnexplain_plugins.activation_maximization.crops import NUMBERS, Views
from cnnexplain_plugins.activation_maximization.scores import stacked_weights

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Float32

    from cnnexplain import Classifier, Objective
    from cnnexplain.optimize import Optimum
    from cnnexplain_plugins.activation_maximization.canvas import Canvas
    from cnnexplain_plugins.activation_maximization.recipes import Recipe

OVERRIDDEN = 16
"""For this many steps, ReLUs are overridden for pictures that have no gradient at all."""

TRACED = 4
"""Every `TRACED` steps, the gradient with respect to the picture itself is added to the sum that gives its opacity."""

LATE = 3
"""Pictures of classes are compared at the end of the stage that is the `LATE`-th from the last, where feature maps represent
shapes and textures."""


@dataclass(frozen=True)
class ShowViews:
    """Maps pictures (N, D, …) and their views (N, V, 8) to inputs of the network, (N · D · V, h, w, C).

    Args:
        views: Maps a picture to its views.
        canvas: Maps the variables to pictures; None if the variables are the pictures.
    """

    views: Views
    canvas: Canvas | None

    def __call__(self, variables: Any, views: Any, *_: Any) -> Any:
        """The views of all pictures."""
        flat = ops.reshape(variables, (-1, *variables.shape[2:]))
        # All pictures are seen in the same views.
        return self.views.show(flat if self.canvas is None else self.canvas.picture(flat), views[0])


@dataclass(frozen=True)
class Value:
    """The mean value of a unit over its pictures and their views, minus a penalty for pictures that are alike.

    Args:
        names: The layers whose outputs are weighted.
        compared: The layer at which pictures are compared; None for no penalty.
    """

    names: tuple[str, ...]
    compared: str | None = None

    def __call__(self, outputs: dict[str, Any], variables: Any, views: Any, *weights: Any) -> Any:
        """a, or a − |a| · c, with c the mean cosine similarity of the pictures' Gram matrices (Olah et al. 2017, diversity).

        |a|, which gives c the unit of a, is not differentiated.
        """
        copies = variables.shape[1] * views.shape[1]
        value = 0
        for name, weight in zip(self.names, weights, strict=True):
            size = math.prod(weight.shape[1:])
            products = ops.reshape(outputs[name], (-1, copies, size)) * ops.reshape(weight, (-1, 1, size))
            value = value + ops.sum(products, axis=(1, 2)) / copies
        if self.compared is None:
            return value
        return value - ops.stop_gradient(ops.abs(value)) * similarity(
            outputs[self.compared], variables.shape[1], views.shape[1]
        )


@dataclass(frozen=True)
class Loss:
    """The negative value, from the variables of pictures, for `optimize.minimize_compiled`."""

    show: ShowViews
    value: Value

    def __call__(self, outputs: Callable[[Any], dict[str, Any]], variables: Any, *others: Any) -> Any:
        """(outputs of images, variables (N, D, …), weights, …, views (V, 8)) ↦ −a, (N,)."""
        *weights, views = others
        return -self.value(outputs(self.show(variables, views[None])), variables, views[None], *weights)


def similarity(maps: Any, pictures: int, views: int) -> Any:
    """The mean cosine similarity of the Gram matrices of a unit's pictures, (N,), from 0 to 1.

    Args:
        maps: (N · D · V, h, w, C), the output of a layer for V views of each of the D pictures of N units.
        pictures: D, at least 2.
        views: V.
    """
    _, rows, columns, channels = maps.shape
    flat = ops.reshape(maps, (-1, pictures, views * rows * columns, channels))
    gram = ops.reshape(ops.matmul(ops.swapaxes(flat, 2, 3), flat), (-1, pictures, channels**2))
    gram = gram / (ops.sqrt(ops.sum(ops.square(gram), axis=2, keepdims=True)) + 1e-12)
    cosines = ops.matmul(gram, ops.swapaxes(gram, 1, 2))
    return (ops.sum(cosines, axis=(1, 2)) - pictures) / (pictures * (pictures - 1))


class Ascent:
    """The loss −a and its gradient for the pictures of several units, which do not affect each other.

    Args:
        classifier: The model.
        objectives: N units.
        recipe: How the pictures are optimized.
        canvas: Maps the variables to pictures.
        pictures: D, the number of pictures per unit.
        seed: Seed of the noise of the views.
        drawn: (steps + 1, V, 8), the views in each step.
        opacity: Whether to sum the magnitudes of the gradients with respect to the pictures, in `traces` (N, D, H, W).
    """

    def __init__(
        self,
        classifier: Classifier,
        objectives: Sequence[Objective],
        recipe: Recipe,
        canvas: Canvas,
        pictures: int,
        seed: int,
        drawn: Float32[np.ndarray, "steps V 8"],
        *,
        opacity: bool,
    ) -> None:
        self.moved = np.zeros(len(objectives), bool)
        self.traces = np.zeros((len(objectives), pictures, canvas.height, canvas.width), np.float32)
        self._classifier, self._recipe, self._canvas, self._drawn = classifier, recipe, canvas, drawn
        self._opacity, self._pictures = opacity, pictures
        weights = stacked_weights(classifier, objectives)
        self._weights = list(weights.values())
        compared = _compared_layer(classifier, objectives) if pictures > 1 else None
        self._value = Value(tuple(weights), compared)
        self._views = Views.of(recipe, classifier.preprocess, seed)
        self._names = list(dict.fromkeys([*weights, *([compared] if compared else [])]))

    def ascend(
        self, start: Float32[np.ndarray, "N D ..."], progress: Callable[[int, int], None]
    ) -> tuple[Optimum, Bool[np.ndarray, " N"]]:
        """Minimizes the loss from the start, in a compiled loop, and says which of the units had no gradient.

        Their pictures are at the start; they need `loss`, which overrides their ReLUs.
        """
        optimum = minimize_compiled(
            self._classifier,
            Loss(ShowViews(self._views, self._canvas), self._value),
            self._names,
            start,
            self._recipe.optimizer,
            len(self._drawn) - 1,
            arrays=self._weights,
            schedule=[self._drawn],
            views=self._pictures * self._recipe.views,
            needed=OVERRIDDEN,
            progress=progress,
        )
        return optimum, np.array([reason is not None and NO_GRADIENT in reason for reason in optimum.stopped])

    def loss(
        self, variables: Float[np.ndarray, "N D ..."], step: int
    ) -> tuple[Float[np.ndarray, " N"], Float[np.ndarray, "N D ..."]]:
        """−a and its gradient, for different views of the pictures in each step."""
        views = np.tile(self._drawn[step], (len(variables), 1, 1))
        values, gradient = self._score(variables, views, *self._weights)
        still = ~gradient.reshape(len(gradient), -1).any(axis=1)
        self.moved |= ~still
        if still.any() and step < OVERRIDDEN:
            some = np.flatnonzero(still)
            gradient = np.array(gradient)
            gradient[some] = self._overridden(variables[some], views[some], *(each[some] for each in self._weights))[1]
        if self._opacity and step % TRACED == 0:
            pictures = np.stack([np.stack([self._canvas.picture_array(each) for each in unit]) for unit in variables])
            self.traces += np.abs(self._traced(pictures, views, *self._weights)[1]).mean(axis=-1)
        return -values, -gradient

    @cached_property
    def _score(self) -> Callable[..., Any]:
        return self._compiled(self._canvas, self._canvas.shape)

    @cached_property
    def _overridden(self) -> Callable[..., Any]:
        return self._compiled(self._canvas, self._canvas.shape, override=True)

    @cached_property
    def _traced(self) -> Callable[..., Any]:
        return self._compiled(None, (self._canvas.height, self._canvas.width, self._canvas.channels))

    def _compiled(self, canvas: Canvas | None, shape: tuple[int, ...], *, override: bool = False) -> Callable[..., Any]:
        return self._classifier.differentiable(
            self._value,
            self._names,
            [(self._recipe.views, NUMBERS), *(each.shape[1:] for each in self._weights)],
            ShowViews(self._views, canvas),
            variables=(self._pictures, *shape),
            views=self._pictures * self._recipe.views,
            override=override,
        )


def _compared_layer(classifier: Classifier, objectives: Sequence[Objective]) -> str:
    """The layer at which pictures are compared: that of the units if they share one with feature maps, or a stage."""
    names = {name for objective in objectives for name in objective.seeds(classifier)}
    if len(names) == 1 and classifier.layer(*names).maps:
        return names.pop()
    stages = classifier.stages
    if not stages:
        raise UsageError(
            f"--diversity compares feature maps, but '{classifier.name}' has no convolution whose output has more "
            "than one position. Leave it out."
        )
    return stages[max(0, len(stages) - LATE)]
