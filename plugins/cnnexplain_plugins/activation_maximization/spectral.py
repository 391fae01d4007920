"""Pictures that excite units the most, optimized by their spectrum in random views, all units of a call in one batch."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops

from cnnexplain.errors import UsageError
from cnnexplain.numerics import resize, spectrum
from cnnexplain.optimize import adam, minimize, nadam
from cnnexplain_plugins.activation_maximization.crops import NUMBERS, Views, canvas_size, draw
from cnnexplain_plugins.activation_maximization.maximization import Maximum
from cnnexplain_plugins.activation_maximization.scores import stacked

if TYPE_CHECKING:
    from cnnexplain import Classifier, Floats, Objective
    from cnnexplain_plugins.activation_maximization.recipes import Recipe

HELD_OUT = 32
"""In how many views that were not optimized the value of a picture is measured."""

OVERRIDDEN = 16
"""For how many steps ReLUs are overridden for a picture without any gradient."""

TRACED = 4
"""Every so many steps the gradient with respect to the picture itself is added to what its opacity is made of."""

LATE = 3
"""For classes, pictures are compared at the end of the stage that is so many from the last, one of shapes and textures."""

NOISE = {True: 1.0, False: 0.01}
"""The standard deviation of the phases, and of the coefficients, at the start."""


@dataclass(frozen=True)
class Canvas:
    """What maps phases or coefficients to pictures in (0, 1).

    Args:
        height: Rows of the picture.
        width: Columns of the picture.
        channels: 1 or 3.
        phases: Whether the magnitudes are those of photographs.
        low_pass: Of free coefficients; see `cnnexplain.numerics.spectrum.falloff`.
    """

    height: int
    width: int
    channels: int
    phases: bool
    low_pass: float

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one picture's phases or coefficients."""
        half = (self.channels, self.height, self.width // 2 + 1)
        return half if self.phases else (2, *half)

    def picture(self, variables: Any) -> Any:
        """U (N, H, W, C), from 0 to 1, red before blue."""
        if self.phases:
            return spectrum.colors(spectrum.from_phases(variables, self._scale, self.width))
        return spectrum.colors(spectrum.from_spectrum(variables, self._scale, self.width))

    @cached_property
    def _scale(self) -> Floats:
        if self.phases:
            return spectrum.natural_magnitude(self.height, self.width, self.channels)
        return spectrum.falloff(self.height, self.width, low_pass=self.low_pass)


@dataclass(frozen=True)
class Shown:
    """What the network is shown of the pictures (N, D, …) that belong together, in views (N, V, 8): (N · D · V, h, w, C).

    Args:
        views: How pictures are seen.
        canvas: What makes pictures of the variables; None where they are the pictures.
    """

    views: Views
    canvas: Canvas | None

    def __call__(self, variables: Any, views: Any, *_: Any) -> Any:
        """Makes the pictures, if they aren't given, and shows them."""
        each = ops.reshape(variables, (-1, *variables.shape[2:]))
        # All are seen in the same views.
        return self.views.show(each if self.canvas is None else self.canvas.picture(each), views[0])


@dataclass(frozen=True)
class Value:
    """The mean value of a unit over its pictures and their views, less how much the pictures are alike.

    Args:
        names: The layers whose outputs are weighted.
        diverse: The layer by which pictures are compared; None for no diversity.
    """

    names: tuple[str, ...]
    diverse: str | None = None

    def __call__(self, outputs: dict[str, Any], variables: Any, views: Any, *weights: Any) -> Any:
        """a, or a − |a| · c, with c the mean cosine similarity of the pictures' Gram matrices (Olah et al. 2017, diversity).

        |a| is not differentiated: it gives c the unit of a.
        """
        copies = variables.shape[1] * views.shape[1]
        value = 0
        for name, weight in zip(self.names, weights, strict=True):
            size = math.prod(weight.shape[1:])
            products = ops.reshape(outputs[name], (-1, copies, size)) * ops.reshape(weight, (-1, 1, size))
            value = value + ops.sum(products, axis=(1, 2)) / copies
        if self.diverse is None:
            return value
        return value - ops.stop_gradient(ops.abs(value)) * likeness(
            outputs[self.diverse], variables.shape[1], views.shape[1]
        )


def likeness(maps: Any, pictures: int, views: int) -> Any:
    """The mean cosine similarity of the Gram matrices of a unit's pictures, (N,), from 0 to 1.

    Args:
        maps: (N · D · V, h, w, C), a layer's outputs for V views of the D pictures of N units.
        pictures: D, at least 2.
        views: V.
    """
    _, rows, columns, channels = maps.shape
    flat = ops.reshape(maps, (-1, pictures, views * rows * columns, channels))
    gram = ops.reshape(ops.matmul(ops.swapaxes(flat, 2, 3), flat), (-1, pictures, channels**2))
    gram = gram / (ops.sqrt(ops.sum(ops.square(gram), axis=2, keepdims=True)) + 1e-12)
    cosines = ops.matmul(gram, ops.swapaxes(gram, 1, 2))
    return (ops.sum(cosines, axis=(1, 2)) - pictures) / (pictures * (pictures - 1))


def maximize(
    classifier: Classifier,
    objectives: Sequence[Objective],
    recipe: Recipe,
    *,
    steps: int,
    starts: int,
    diversity: int,
    opacity: bool,
    seed: int,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> list[Maximum]:
    """For each unit as many pictures as `diversity` says, those of a unit side by side.

    All units have the same starts and are seen in the same views, so that none depends on what it is asked with but by
    rounding.

    Args:
        classifier: Whose units.
        objectives: The units, or sums of them.
        recipe: How the pictures are optimized.
        steps: Of an ascent.
        starts: From how many starts each unit ascends; the one with the highest value in unseen views is kept.
        diversity: How many pictures each unit gets, which are kept from being alike.
        opacity: Whether to find how much each pixel mattered.
        seed: Decides the starts, the views and their noise.
        progress: Called with how many steps are done, and of how many.

    Raises:
        UsageError: The model has no such class, layer or unit.
        ModelError: Nothing is finite at the start.
    """
    preprocess = classifier.preprocess
    noise, shown, held_out = np.random.default_rng(seed).spawn(3)
    canvas = Canvas(*canvas_size(recipe, preprocess), preprocess.channels, recipe.phases, recipe.low_pass)
    ascending = [objective for objective in objectives for _ in range(starts)]
    ascent = Ascent(classifier, ascending, recipe, canvas, diversity, seed, shown, opacity=opacity)
    start = NOISE[recipe.phases] * noise.normal(size=(starts, diversity, *canvas.shape))
    optimum = minimize(
        ascent.loss,
        np.tile(start.astype(np.float32), (len(objectives), *[1] * (start.ndim - 1))),
        (nadam if recipe.phases else adam)(lambda _: recipe.rate),
        steps,
        progress=progress,
    )
    unseen = draw(recipe, preprocess, HELD_OUT, held_out)
    pictures = [np.stack([_picture(canvas, each) for each in variables]) for variables in optimum.variables]
    values = np.array(
        [
            [_mean(classifier, objective, Views.of(recipe, preprocess, seed + 1), u, unseen) for u in each]
            for objective, each in zip(ascending, pictures, strict=True)
        ]
    )
    reached = np.where(np.isfinite(values), values, -np.inf).mean(axis=1)
    best = reached.reshape(-1, starts).argmax(axis=1) + starts * np.arange(len(objectives))
    found = []
    for index in best:
        small = np.stack([preprocess.encode(resize(u, preprocess.height, preprocess.width)) for u in pictures[index]])
        plain = classifier.values(small, [ascending[index]] * diversity)
        for number, u in enumerate(pictures[index]):
            found.append(
                Maximum(
                    preprocess.encode(u),
                    float(plain[number]),
                    optimum.stopped[index],
                    bool(ascent.moved[index]),
                    small[number],
                    float(values[index, number]),
                    ascent.traces[index, number] if opacity else None,
                )
            )
    return found


class Ascent:
    """The loss −a and its gradient, for the pictures of several units, each unit ascending for itself.

    Args:
        classifier: Whose units.
        objectives: N of them.
        recipe: How the pictures are optimized.
        canvas: What makes pictures of the variables.
        pictures: D, how many each unit has.
        seed: Decides the views' noise.
        random: Draws the views.
        opacity: Whether to add up the gradients with respect to the pictures, in `traces` (N, D, H, W).
    """

    def __init__(
        self,
        classifier: Classifier,
        objectives: Sequence[Objective],
        recipe: Recipe,
        canvas: Canvas,
        pictures: int,
        seed: int,
        random: np.random.Generator,
        *,
        opacity: bool,
    ) -> None:
        self.moved = np.zeros(len(objectives), bool)
        self.steepness = np.zeros(len(objectives))
        self.traces = np.zeros((len(objectives), pictures, canvas.height, canvas.width), np.float32)
        self._recipe, self._canvas, self._preprocess, self._random = recipe, canvas, classifier.preprocess, random
        self._opacity = opacity
        seeds = stacked(classifier, objectives)
        self._weights = list(seeds.values())
        diverse = _compared(classifier, objectives) if pictures > 1 else None
        value = Value(tuple(seeds), diverse)
        views = Views.of(recipe, classifier.preprocess, seed)
        names = list(dict.fromkeys([*seeds, *([diverse] if diverse else [])]))
        shapes = [(recipe.views, NUMBERS), *(weights.shape[1:] for weights in self._weights)]

        def compiled(canvas: Canvas | None, shape: tuple[int, ...], *, override: bool = False) -> Callable[..., Any]:
            return classifier.differentiable(
                value,
                names,
                shapes,
                Shown(views, canvas),
                variables=(pictures, *shape),
                views=pictures * recipe.views,
                override=override,
            )

        self._score = compiled(canvas, canvas.shape)
        self._overridden = compiled(canvas, canvas.shape, override=True)
        self._traced = compiled(None, (canvas.height, canvas.width, canvas.channels))

    def loss(self, variables: Floats, number: int) -> tuple[Floats, Floats]:
        """−a / s and its gradient, the pictures being shown in other views at each step.

        s is the root mean square of a unit's first gradient that isn't 0, so that the optimizer's smallest number means the
        same for the logit of a class and the mean of a feature map.
        """
        views = np.tile(draw(self._recipe, self._preprocess, self._recipe.views, self._random), (len(variables), 1, 1))
        values, gradient = self._score(variables, views, *self._weights)
        still = ~gradient.reshape(len(gradient), -1).any(axis=1)
        self.moved |= ~still
        if still.any() and number < OVERRIDDEN:
            some = np.flatnonzero(still)
            gradient = np.array(gradient)
            gradient[some] = self._overridden(variables[some], views[some], *(each[some] for each in self._weights))[1]
        if self._opacity and number % TRACED == 0:
            pictures = np.stack([np.stack([_picture(self._canvas, each) for each in unit]) for unit in variables])
            self.traces += np.abs(self._traced(pictures, views, *self._weights)[1]).mean(axis=-1)
        steepness = np.sqrt(np.square(gradient.reshape(len(gradient), -1), dtype=np.float64).mean(axis=1))
        self.steepness = np.where(self.steepness > 0, self.steepness, np.nan_to_num(steepness, posinf=0))
        scale = np.where(self.steepness > 0, self.steepness, 1).astype(np.float32)
        return -values / scale, -gradient / scale.reshape(-1, *[1] * (gradient.ndim - 1))


def _compared(classifier: Classifier, objectives: Sequence[Objective]) -> str:
    """The layer by which pictures are compared: the units' own, where all are of one with feature maps; else of a stage."""
    names = {name for objective in objectives for name in objective.seeds(classifier)}
    if len(names) == 1 and classifier.layer(*names).maps:
        return names.pop()
    stages = classifier.stages
    if not stages:
        raise UsageError(
            f"--diversity compares feature maps, but '{classifier.name}' has no convolution that returns more than a "
            "single place. Leave it out."
        )
    return stages[max(0, len(stages) - LATE)]


def _picture(canvas: Canvas, variables: Floats) -> Floats:
    """U (H, W, C) of one picture's variables."""
    return np.asarray(keras.ops.convert_to_numpy(canvas.picture(variables[None]))[0], np.float32)


def _mean(classifier: Classifier, objective: Objective, views: Views, u: Floats, unseen: Floats) -> float:
    """The mean value of a unit over views of a picture."""
    shown = keras.ops.convert_to_numpy(views.show(u[None], unseen))
    return float(classifier.values(shown, [objective] * len(shown)).mean())
