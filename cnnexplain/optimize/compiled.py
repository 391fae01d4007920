"""The optimization loop in a compiled function: many steps in each call, with no work on the host between them."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnexplain import backend
from cnnexplain.optimize.loop import EVERY, NOT_FINITE, Optimum, Select, ended, start_failed

if TYPE_CHECKING:
    from jaxtyping import Float, Float32

    from cnnexplain.model.classifier import Classifier
    from cnnexplain.optimize.optimizers import Optimizer, Update

MOST, SECONDS = 32, 0.5
"""The most steps in one call, and the seconds that a call should take, so that progress is shown and Ctrl-C is noticed."""

RUNNING, VALUE, GRADIENT, ZERO = range(4)
"""Whether the optimization of some variables goes on, and otherwise what ended it."""

NO_GRADIENT = "the gradient was zero"
"""A part of the reason why the optimization of variables ended, if they needed a gradient."""

ENDS = {VALUE: f"the value {NOT_FINITE}", GRADIENT: f"the gradient {NOT_FINITE}", ZERO: NO_GRADIENT}


def minimize_compiled(
    classifier: Classifier,
    function: Callable[..., Any],
    names: Sequence[str],
    start: Float[np.ndarray, "N ..."],
    optimizer: Optimizer,
    steps: int,
    *,
    arrays: Sequence[Float[np.ndarray, "N ..."]] = (),
    schedule: Sequence[Float[np.ndarray, "steps ..."]] = (),
    keep: Callable[..., Any] | None = None,
    together: int | None = None,
    views: int = 1,
    best: bool = False,
    needed: int = 0,
    select: Select = lambda *_: None,
    checks: Collection[int] = (),
    progress: Callable[[int, int], None] = lambda *_: None,
) -> Optimum:
    """`minimize` in a compiled function, which computes the values, their gradients and the updates of many steps.

    Where a network is slow within a loop, each call computes one step. `function` and `keep` are in `keras.ops` only. They
    also get the arrays and, for the current step, a row of each array of the schedule, such as the numbers that define a
    random view. The compiled function is kept as long as those of `Classifier.differentiable`, and used again if both are
    equal, as functions of a module or frozen dataclasses are.

    Args:
        classifier: The model.
        function: (outputs, variables (N, …), *arrays, *rows) ↦ the values (N,), where `outputs` maps images to a dictionary
            of the outputs of layers.
        names: The layers.
        start: (N, …), the initial variables.
        optimizer: Such as `adam`.
        steps: The number of steps.
        arrays: Further arguments of the functions, each with N items.
        schedule: Further arguments, with a row for each value that is computed: (steps + 1, …).
        keep: (variables, *arrays, *rows) ↦ variables, applied after each step.
        together: K, if each item of the variables (N, K, …) holds the variables of K problems that do not affect each other,
            but that the function computes together; its values are (N, K), and so are those of the result.
        views: The number of images that the network gets for each item.
        best: Whether to return the variables of the lowest value instead of the last.
        needed: The number of first values that need a gradient; if it is zero, the optimization of its variables ends.
        select: As for `minimize`, but called only after the values in `checks`; not together with `together`.
        checks: The indices of the steps.
        progress: Called with the number of completed steps and of all steps, about every `EVERY` steps or every second.

    Raises:
        UsageError: The model has no such layer.
        ModelError: None of the values is finite at the start, or they do not depend on the variables.
    """
    start = np.asarray(start, np.float32)
    state = [np.zeros(each, np.float32) for each in optimizer.state(start.shape)]
    most = 1 if backend.current().SLOW_LOOPS_ON_CPU and not on_gpu() else MOST
    steps_ahead = Steps(function, keep, optimizer.update, len(state), len(arrays), best, most)
    problems = start.shape[: 1 if together is None else 2]
    kept, going, arrays = start.copy(), np.arange(len(start)), list(arrays)
    history, ends = (np.zeros((*problems, steps + 1), np.float32) for _ in range(2))
    carried = [start, start, *(np.full(problems, each, np.float32) for each in (np.inf, 1)), *state]
    numbers = [np.stack(np.broadcast_arrays(*optimizer.numbers(number), number < needed)) for number in range(steps + 1)]
    tables = [np.asarray(each, np.float32) for each in (numbers, *schedule)]
    compiled = classifier.compiled(
        steps_ahead,
        names,
        [each.shape[1:] for each in (*carried, *arrays)],
        [(), *((most, *table.shape[1:]) for table in tables)],
        views=views,
    )
    done, reported, size = 0, 0, 1
    while done <= steps and carried[3].any():
        check = min((number for number in checks if number >= done), default=steps)
        count, began = min(size, check + 1 - done), time.monotonic()
        rows = [np.resize(table[done : done + count], (most, *table.shape[1:])) for table in tables]
        values, reasons, *carried = compiled([*carried, *arrays], [np.float32(count), *rows])
        for table, part in ((history, values), (ends, reasons)):
            table[going, ..., done : done + count] = part[..., :count]
        kept[going] = carried[1]
        done += count
        seconds = time.monotonic() - began
        size = max(1, size // 2) if seconds > SECONDS else min(most, 2 * size) if seconds < SECONDS / 2 else size
        # The first call also compiles.
        slow = seconds > 2 * SECONDS and done > 1
        reached = done if slow else done // EVERY * EVERY
        if reported < reached < steps:
            progress(reached, steps)
            reported = reached
        if check < done <= steps and carried[3].any():
            flags = select(check, list(_optimum(kept, history[..., :done], ends[..., :done]).values))
            if flags is not None:
                # The last value of the others stays.
                history[..., done:] = history[..., done - 1, None]
                on, going = flags[going], going[flags[going]]
                carried, arrays = ([each[on] for each in batches] for batches in (carried, arrays))
    progress(steps, steps)
    return _optimum(kept, history[..., :done], ends[..., :done])


def on_gpu() -> bool:
    """Whether the network is computed on a GPU, which would wait for work in NumPy between steps."""
    return backend.current().device_memory() is not None


def compiled_is_faster() -> bool:
    """Whether `minimize_compiled` takes less time than `minimize` for small images: on a GPU, and on some backends."""
    return on_gpu() or backend.current().LOOPS_ON_CPU


@dataclass(frozen=True)
class Steps:
    """The compiled function: some steps of the optimization of N problems.

    Args:
        function: Computes the values; see `minimize_compiled`.
        keep: Applied after each step.
        update: That of the optimizer.
        states: The number of arrays of the optimizer's state.
        arrays: The number of further arrays.
        best: Whether the variables of the lowest value are kept.
        most: The most steps in one call.
    """

    function: Callable[..., Any]
    keep: Callable[..., Any] | None
    update: Update
    states: int
    arrays: int
    best: bool
    most: int

    def __call__(self, outputs: Callable[[Any], dict[str, Any]], *inputs: Any) -> list[Any]:
        """Computes some steps.

        Args:
            outputs: Images ↦ the outputs of the layers.
            inputs: Batches: the variables, those that are kept, the lowest values, 1 for each optimization that goes on and
                otherwise 0, the optimizer's state, and the arrays. Then the number of steps, and tables with a row for each.

        Returns:
            The values (N, …, `most`) at each step, what ended the optimization there, and the next batches up to the state.
        """
        from keras import ops

        batches = 4 + self.states
        x, carried, arrays = inputs[0], inputs[1:batches], inputs[batches : batches + self.arrays]
        count, *tables = inputs[batches + self.arrays :]

        def value(x: Any, *others: Any) -> list[Any]:
            return [self.function(outputs, x, *others)]

        def step(number: Any, loop: Any) -> Any:
            x, kept, lowest, running, history, ended, *state = loop
            numbers, *rows = (table[number] for table in tables)
            *numbers, needed = ops.unstack(numbers, numbers.shape[0])
            others = (*arrays, *rows)
            values, gradient = backend.current().value_and_gradient(value)(x, *others)
            end = _end(values, gradient, ops.max(needed))
            going = ops.logical_and(running > 0, ops.equal(end, RUNNING))
            on = _spread(going, x)
            better = ops.logical_and(going, values < lowest) if self.best else going
            kept = ops.where(_spread(better, x) if self.best else on, x, kept)
            lowest = ops.where(better, values, lowest) if self.best else lowest
            place = ops.equal(ops.arange(self.most), number)
            history, ended = (ops.where(place, each[..., None], table) for each, table in ((values, history), (end, ended)))
            move, state = self.update(ops.where(on, gradient, 0.0), state, *numbers)
            moved = x + move if self.keep is None else self.keep(x + move, *others)
            return (ops.where(on, moved, x), kept, lowest, ops.cast(going, "float32"), history, ended, *state)

        kept, lowest, running, *state = carried
        table = ops.zeros((*ops.shape(lowest), self.most))
        loop = (x, kept, lowest, running, table, table, *state)
        # The compiler would not remove a loop of a single step.
        loop = step(0, loop) if self.most == 1 else ops.fori_loop(0, ops.cast(count, "int32"), step, loop)
        x, kept, lowest, running, history, ended, *state = loop
        return [history, ended, x, kept, lowest, running, *state]


def _end(values: Any, gradient: Any, needed: Any) -> Any:
    """Whether the optimization of each x goes on, or what ends it, with the shape of the values."""
    from keras import ops

    # A sum is NaN if one of the numbers is; on a GPU, the maximum may ignore NaN.
    size = ops.sum(ops.abs(gradient), axis=tuple(range(len(values.shape), len(gradient.shape))))
    end = ops.where(size > 0, float(RUNNING), ZERO * needed)
    return ops.where(ops.isfinite(values), ops.where(ops.isfinite(size), end, float(GRADIENT)), float(VALUE))


def _spread(flags: Any, like: Any) -> Any:
    from keras import ops

    return ops.reshape(flags, (-1, *flags.shape[1:], *[1] * (len(like.shape) - len(flags.shape))))


def _optimum(
    kept: Float32[np.ndarray, "N ..."],
    values: Float32[np.ndarray, "*problems steps"],
    ends: Float32[np.ndarray, "*problems steps"],
) -> Optimum:
    """The result, in which the values of a problem that ended stay the same.

    Raises:
        ModelError: None of the values and gradients was finite at the start; of problems that are computed together, those
            at the same place of all items.
    """
    problems = ends.shape[:-1]
    failed = ((ends[..., 0] != RUNNING) & (ends[..., 0] != ZERO)).all(axis=0)
    if failed.any():
        raise start_failed(ended(0, ENDS[int(np.asarray(ends[0, ..., 0])[failed][0])]))
    values, ends = (each.reshape(-1, each.shape[-1]) for each in (values, ends))
    lengths = np.where((ends != RUNNING).any(axis=1), (ends != RUNNING).argmax(axis=1), ends.shape[1])
    stopped = [
        ended(number, ENDS[int(ends[index, number])]) if number < ends.shape[1] else None
        for index, number in enumerate(lengths)
    ]
    # The value that ended a problem is not one of its values.
    last = np.minimum(np.arange(min(lengths.max() + 1, ends.shape[1])), np.maximum(lengths - 1, 0)[:, None])
    history = np.where(lengths[:, None] > 0, np.take_along_axis(values, last, axis=1), np.nan)
    return Optimum(kept, np.asarray(history.T, np.float32).reshape(-1, *problems), tuple(stopped))
