"""The one optimization loop: activation maximization climbs with it, representation inversion descends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from cnnexplain.errors import ModelError
from cnnexplain.types import Array, Floats

__all__ = ["Optimum", "Step", "adam", "minimize", "momentum", "nadam"]

EVERY = 10
"""After how many steps the progress is reported."""

LEAST = 1e-3
"""By what part of itself a value must fall to count as falling."""

Step = Callable[[Floats, Any, int], tuple[Floats, Any]]
"""(gradient, state or None, number of the step) ↦ what to add to the variables, and the next state."""


def adam(rate: Callable[[int], float], decay: tuple[float, float] = (0.9, 0.999), epsilon: float = 1e-8) -> Step:
    """Adam (Kingma & Ba 2014, arXiv:1412.6980, algorithm 1) with a learning rate for each step, from 0."""

    def step(gradient: Floats, state: Any, number: int) -> tuple[Floats, Any]:
        first, second = state or (np.zeros_like(gradient), np.zeros_like(gradient))
        first = decay[0] * first + (1 - decay[0]) * gradient
        second = decay[1] * second + (1 - decay[1]) * gradient**2
        mean, square = first / (1 - decay[0] ** (number + 1)), second / (1 - decay[1] ** (number + 1))
        return -rate(number) * mean / (np.sqrt(square) + epsilon), (first, second)

    return step


def nadam(rate: Callable[[int], float], decay: tuple[float, float] = (0.9, 0.999), epsilon: float = 1e-8) -> Step:
    """Adam with Nesterov's momentum (Dozat 2016): by the mean that follows if the next gradient is as this one."""
    first, second = decay

    def step(gradient: Floats, state: Any, number: int) -> tuple[Floats, Any]:
        mean, square = state or (np.zeros_like(gradient), np.zeros_like(gradient))
        mean = first * mean + (1 - first) * gradient
        square = second * square + (1 - second) * gradient**2
        ahead = first * mean / (1 - first ** (number + 2)) + (1 - first) * gradient / (1 - first ** (number + 1))
        return -rate(number) * ahead / (np.sqrt(square / (1 - second ** (number + 1))) + epsilon), (mean, square)

    return step


def momentum(rate: Callable[[int], float], factor: float) -> Step:
    """Gradient descent with momentum: v ← factor · v − rate · gradient; v is zeroed whenever the rate changes."""

    def step(gradient: Floats, state: Any, number: int) -> tuple[Floats, Any]:
        fresh = state is None or rate(number) != rate(number - 1)
        velocity = (0 if fresh else factor * state) - rate(number) * gradient
        return velocity, velocity

    return step


@dataclass(frozen=True)
class Optimum:
    """Where an optimization ended.

    Args:
        variables: (N, …), for each of the N the variables of its lowest value, or the last ones.
        values: (steps + 1, N), what was minimized, at the start and after each step; NaN where it never was finite.
        stopped: For each of the N, why it ended before the last step, or None.
    """

    variables: Floats
    values: Floats
    stopped: tuple[str | None, ...]


def minimize(
    function: Callable[[Floats, int], tuple[Floats, Floats]],
    start: Floats,
    step: Step,
    steps: int,
    *,
    keep: Callable[[Floats, int], Floats] = lambda variables, _: variables,
    best: bool = False,
    patience: int | None = None,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> Optimum:
    """Minimizes N numbers at once, each over variables of its own.

    A number that stops being finite ends the optimization of its own variables alone; the last finite ones are kept.

    Args:
        function: (variables (N, …), number of the step from 0) ↦ values (N,) and their gradients (N, …).
        start: (N, …).
        step: How to move; see `adam` and `momentum`.
        steps: At most how many times.
        keep: (variables, number of the step) ↦ variables, after each step: a constraint or a regularizer.
        best: Whether to keep the variables of the lowest value instead of the last.
        patience: Ends when no value has fallen by `LEAST` of itself in as many steps. None never does.
        progress: Called every `EVERY` steps with how many are done, and of how many.

    Raises:
        ModelError: None of the values is finite at the start.
    """
    variables, state = np.array(start, np.float32), None
    kept = variables.copy()
    stopped: list[str | None] = [None] * len(start)
    lowest, record, fell = np.full(len(start), np.inf), np.full(len(start), np.inf), np.zeros(len(start), int)
    history: list[Floats] = []
    for number in range(steps + 1):
        values, gradient = function(variables, number)
        stopped = _stopped(stopped, values, gradient, number)
        running = np.array([reason is None for reason in stopped])
        if not number and not running.any():
            raise ModelError(f"The optimization can't start: {stopped[0]}.")
        history.append(np.where(running, values, history[-1] if history else np.nan))
        better = running & (values < lowest)
        lowest = np.where(better, values, lowest)
        kept = np.where(_spread(better if best else running, kept), variables, kept)
        # The first record is infinite, and no part of infinity can be taken from it.
        fallen = running & (values < record - LEAST * np.abs(np.where(np.isinf(record), 0, record)))
        record, fell = np.where(fallen, values, record), np.where(fallen, number, fell)
        waited = patience is not None and running.any() and number - fell[running].max() >= patience
        if number == steps or waited or not running.any():
            break
        move, state = step(np.where(_spread(running, gradient), gradient, 0), state, number)
        variables = np.where(_spread(running, kept), keep(np.asarray(variables + move, np.float32), number), variables)
        if (number + 1) % EVERY == 0:
            progress(number + 1, steps)
    progress(steps, steps)
    return Optimum(np.asarray(kept, np.float32), np.asarray(history, np.float32), tuple(stopped))


def _stopped(before: list[str | None], values: Floats, gradient: Floats, number: int) -> list[str | None]:
    """Why each has stopped, of those that have."""
    reasons = list(before)
    for index, (value, slope) in enumerate(zip(np.isfinite(values), _finite(gradient), strict=True)):
        if reasons[index] is None and not (value and slope):
            what = "the gradient" if value else "the value"
            reasons[index] = f"at step {number} {what} was not finite (NaN or infinity)"
    return reasons


def _finite(array: Floats) -> Array:
    return np.asarray(np.isfinite(array).reshape(len(array), -1).all(axis=1))


def _spread(flags: Array, like: Floats) -> Array:
    return flags.reshape(-1, *[1] * (like.ndim - 1))
