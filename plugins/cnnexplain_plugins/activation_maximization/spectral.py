"""Pictures that activate units most, optimized by their spectrum in random views, all units of a call in one batch."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import keras
import numpy as np

from cnnexplain.numerics import resize
from cnnexplain.optimize import Optimum, minimize
from cnnexplain_plugins.activation_maximization.canvas import NOISE, Canvas
from cnnexplain_plugins.activation_maximization.crops import Views, canvas_size, draw
from cnnexplain_plugins.activation_maximization.maximization import Maximum
from cnnexplain_plugins.activation_maximization.spectral_ascent import Ascent

if TYPE_CHECKING:
    from jaxtyping import Bool, Float32

    from cnnexplain import Classifier, Objective
    from cnnexplain_plugins.activation_maximization.recipes import Recipe

HELD_OUT = 32
"""The number of views, not used by the optimization, over which the value of a picture is averaged."""


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
    """`diversity` pictures for each unit, those of a unit next to each other.

    All units have the same starts and are seen in the same views, so that the result for a unit does not depend on the other
    units, except for rounding.

    Args:
        classifier: The model.
        objectives: The units, or sums of them.
        recipe: How the pictures are optimized.
        steps: The number of steps of an ascent.
        starts: The number of starts for each unit; the result with the highest value in unseen views is kept.
        diversity: The number of pictures per unit, which are penalized for being alike.
        opacity: Whether to measure how much each pixel mattered.
        seed: Seed of the starts, the views and their noise.
        progress: Called with the number of steps done and in total.

    Raises:
        UsageError: The model has no such class, layer or unit.
        ModelError: No value is finite at the start.
    """
    preprocess = classifier.preprocess
    noise, shown, held_out = np.random.default_rng(seed).spawn(3)
    canvas = Canvas(*canvas_size(recipe, preprocess), preprocess.channels, recipe.phases, recipe.low_pass)
    ascending = [objective for objective in objectives for _ in range(starts)]
    drawn = np.stack([draw(recipe, preprocess, recipe.views, shown) for _ in range(steps + 1)])
    starting = NOISE[recipe.phases] * noise.normal(size=(starts, diversity, *canvas.shape))
    start = np.tile(starting.astype(np.float32), (len(objectives), *[1] * (starting.ndim - 1)))

    def ascent_of(units: Sequence[Objective]) -> Ascent:
        return Ascent(classifier, units, recipe, canvas, diversity, seed, drawn, opacity=opacity)

    ascent = ascent_of(ascending)
    minimized = functools.partial(minimize, step=recipe.optimizer, steps=steps)
    if opacity:
        optimum, moved = minimized(ascent.loss, start, progress=progress), ascent.moved
    else:
        optimum, still = ascent.ascend(start, progress)
        moved = ~still
        if still.any():
            overridden = ascent_of([objective for objective, alone in zip(ascending, still, strict=True) if alone])
            optimum = _merged(optimum, still, minimized(overridden.loss, start[still]))
            moved[still] = overridden.moved
    unseen = draw(recipe, preprocess, HELD_OUT, held_out)
    pictures = [np.stack([canvas.picture_array(each) for each in variables]) for variables in optimum.variables]
    values = np.array(
        [
            [_mean_value(classifier, objective, Views.of(recipe, preprocess, seed + 1), u, unseen) for u in each]
            for objective, each in zip(ascending, pictures, strict=True)
        ]
    )
    reached = np.where(np.isfinite(values), values, -np.inf).mean(axis=1)
    best = reached.reshape(-1, starts).argmax(axis=1) + starts * np.arange(len(objectives))
    maxima = []
    for index in best:
        small = np.stack([preprocess.encode(resize(u, preprocess.height, preprocess.width)) for u in pictures[index]])
        whole_values = classifier.values(small, [ascending[index]] * diversity)
        for number, u in enumerate(pictures[index]):
            maxima.append(
                Maximum(
                    preprocess.encode(u),
                    float(whole_values[number]),
                    optimum.stopped[index],
                    bool(moved[index]),
                    small[number],
                    float(values[index, number]),
                    ascent.traces[index, number] if opacity else None,
                )
            )
    return maxima


def _merged(optimum: Optimum, places: Bool[np.ndarray, " N"], others: Optimum) -> Optimum:
    """The final variables of an optimization, with those of another one in some places; without the values."""
    variables, stopped, rest = optimum.variables.copy(), list(optimum.stopped), iter(others.stopped)
    variables[places] = others.variables
    return Optimum(
        variables,
        optimum.values[:0],
        tuple(next(rest) if place else each for place, each in zip(places, stopped, strict=True)),
    )


def _mean_value(
    classifier: Classifier,
    objective: Objective,
    views: Views,
    u: Float32[np.ndarray, "H W C"],
    unseen: Float32[np.ndarray, "V 8"],
) -> float:
    """The mean value of a unit over views of a picture."""
    shown = keras.ops.convert_to_numpy(views.show(u[None], unseen))
    return float(classifier.values(shown, [objective] * len(shown)).mean())
