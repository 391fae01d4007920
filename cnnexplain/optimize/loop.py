"""The optimization loop for functions of NumPy arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from cnnexplain.errors import ModelError

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Float32

    from cnnexplain.optimize.optimizers import Step

EVERY = 10
"""The number of steps after which progress is reported."""

LEAST_DECREASE = 1e-3
"""The relative decrease of a value that counts as progress."""

Select: TypeAlias = "Callable[[int, Sequence[Float[np.ndarray, ' N']]], Bool[np.ndarray, ' N'] | None]"
"""(index of the step, all values so far) ↦ whether each problem goes on, or None if all that do so far go on."""

NOT_FINITE = "was not finite (NaN or infinity)"
"""What is said about a value or gradient that ends the optimization of its variables."""


@dataclass(frozen=True)
class Optimum:
    """The result of an optimization.

    Args:
        variables: (N, …), the variables of the lowest value, or the last ones, for each of N problems.
        values: (steps + 1, N), the minimized values at the start and after each step; NaN if they were never finite.
        stopped: Why each problem ended before the last step; None if it did not.

    If each of the N items holds K problems, the values are (steps + 1, N, K), and `stopped` has N · K entries, the K of an
    item next to each other.
    """

    variables: Float[np.ndarray, "N ..."]
    values: Float[np.ndarray, "steps ..."]
    stopped: tuple[str | None, ...]


def minimize(
    function: Callable[[Float32[np.ndarray, "N ..."], int], tuple[Float[np.ndarray, " N"], Float[np.ndarray, "N ..."]]],
    start: Float[np.ndarray, "N ..."],
    step: Step,
    steps: int,
    *,
    keep: Callable[[Float32[np.ndarray, "N ..."], int], Float[np.ndarray, "N ..."]] = lambda variables, _: variables,
    best: bool = False,
    patience: int | None = None,
    select: Select = lambda *_: None,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> Optimum:
    """Minimizes N values at once, each over its own variables.

    If a value or gradient is no longer finite, the optimization of its variables ends, and the last finite ones are kept.

    Args:
        function: (variables (N, …), index of the step from 0) ↦ values (N,) and their gradients (N, …).
        start: (N, …), the initial variables.
        step: The optimizer; see `adam`, `nadam` and `momentum`.
        steps: The maximum number of steps.
        keep: (variables, index of the step) ↦ variables, applied after each step: a constraint or a regularizer.
        best: Whether to return the variables of the lowest value instead of the last.
        select: Called after each value but the last. If it returns flags, only those problems go on: `function`, `step` and
            `keep` get their variables alone, and the variables and values of the others stay the same. If none goes on, the
            optimization ends. The state of the optimizer must consist of arrays (N, …), as those of this package do.
        patience: Stop if no value has decreased by a fraction of `LEAST_DECREASE` in as many steps; None to continue.
        progress: Called every `EVERY` steps with the number of completed steps and of all steps.

    Raises:
        ModelError: None of the values is finite at the start.
    """
    variables, state = np.array(start, np.float32), None
    kept, results, going = variables.copy(), variables.copy(), np.arange(len(start))
    stopped: list[str | None] = [None] * len(start)
    reasons = list(stopped)
    lowest, record, fell = np.full(len(start), np.inf), np.full(len(start), np.inf), np.zeros(len(start), int)
    history: list[Float[np.ndarray, " N"]] = []
    for number in range(steps + 1):
        values, gradient = function(variables, number)
        stopped = _stopped(stopped, values, gradient, number)
        running = np.array([reason is None for reason in stopped])
        if not number and not running.any():
            raise start_failed(stopped[0])
        history.append(history[-1].copy() if history else np.full(len(start), np.nan))
        history[-1][going[running]] = values[running]
        better = running & (values < lowest)
        lowest = np.where(better, values, lowest)
        kept = np.where(_spread(better if best else running, kept), variables, kept)
        # The first record is infinite, so that no fraction of it can be subtracted.
        fallen = running & (values < record - LEAST_DECREASE * np.abs(np.where(np.isinf(record), 0, record)))
        record, fell = np.where(fallen, values, record), np.where(fallen, number, fell)
        waited = patience is not None and running.any() and number - fell[running].max() >= patience
        if number == steps or waited or not running.any():
            break
        flags = select(number, history)
        if flags is not None:
            results[going], on = kept, flags[going]
            for index, reason in zip(going, stopped, strict=True):
                reasons[index] = reason
            stopped = [reason for reason, each in zip(stopped, on, strict=True) if each]
            going, running, fell = going[on], running[on], fell[on]
            variables, gradient, kept, lowest, record = (each[on] for each in (variables, gradient, kept, lowest, record))
            state = None if state is None else tuple(each[on] for each in state)
            if not len(going):
                break
        move, state = step(np.where(_spread(running, gradient), gradient, 0), state, number)
        variables = np.where(_spread(running, kept), keep(np.asarray(variables + move, np.float32), number), variables)
        if (number + 1) % EVERY == 0:
            progress(number + 1, steps)
    progress(steps, steps)
    results[going] = kept
    for index, reason in zip(going, stopped, strict=True):
        reasons[index] = reason
    return Optimum(np.asarray(results, np.float32), np.asarray(history, np.float32), tuple(reasons))


def ended(number: int, reason: str) -> str:
    """Why the optimization of some variables ended, as in `Optimum.stopped`."""
    return f"at step {number} {reason}"


def start_failed(reason: str | None) -> ModelError:
    """The error if the optimization of all variables ends at the start."""
    return ModelError(f"The optimization can't start: {reason}.")


def _stopped(
    before: list[str | None], values: Float[np.ndarray, " N"], gradient: Float[np.ndarray, "N ..."], number: int
) -> list[str | None]:
    """Why each problem has stopped; None if it has not."""
    reasons = list(before)
    for index, (value, slope) in enumerate(zip(np.isfinite(values), _finite(gradient), strict=True)):
        if reasons[index] is None and not (value and slope):
            reasons[index] = ended(number, f"the {'gradient' if value else 'value'} {NOT_FINITE}")
    return reasons


def _finite(array: Float[np.ndarray, "N ..."]) -> Bool[np.ndarray, " N"]:
    return np.asarray(np.isfinite(array).reshape(len(array), -1).all(axis=1))


def _spread(flags: Bool[np.ndarray, " N"], like: Float[np.ndarray, "N ..."]) -> Bool[np.ndarray, "N ..."]:
    return flags.reshape(-1, *[1] * (like.ndim - 1))
