"""Times contenders alternately, so that other load on the machine affects all of them alike."""

from __future__ import annotations

import math
import os
import resource
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

SHORTEST = 0.05
"""Calls that are faster than this number of seconds are repeated within a sample until it takes as long."""

SLOW = 5.0
"""Contenders whose first call takes longer are not called a second time to see whether they are fast."""

MOST_CALLS = 100
"""The most calls of a sample."""


class Sample(NamedTuple):
    """The mean cost of a call: the quantity of the row, mostly seconds by the wall clock, and the seconds of all cores."""

    value: float
    cpu: float


Timer = Callable[[int], Sample]
"""A contender: makes a number of calls and returns their mean cost."""


@dataclass
class Measured:
    """The samples of a contender: the first call, which compiles, and one sample for each round after it."""

    first: Sample
    samples: list[Sample] = field(default_factory=list)

    @property
    def median(self) -> float:
        """The median of the samples; if there are none, the first call."""
        return statistics.median([each.value for each in self.samples] or [self.first.value])

    def as_json(self) -> dict[str, Any]:
        """The numbers for a JSON file."""
        values, cpu = ([each[index] for each in self.samples] for index in (0, 1))
        return {"first": self.first.value, "median": self.median, "samples": values, "cpu": cpu}


def local(function: Callable[[], object], results: int = 1) -> Timer:
    """Times calls of a function in this process, for each of the `results` of a call."""

    def timer(calls: int) -> Sample:
        started, used = time.perf_counter(), time.process_time()
        for _ in range(calls):
            function()
        count = calls * results
        return Sample((time.perf_counter() - started) / count, (time.process_time() - used) / count)

    return timer


def command(arguments: Sequence[str], folder: str, environment: Mapping[str, str] | None = None) -> Timer:
    """Times a command, each time in a new process; its output is discarded."""

    def timer(calls: int) -> Sample:
        started, used = time.perf_counter(), _children_seconds()
        for _ in range(calls):
            subprocess.run(arguments, cwd=folder, env={**os.environ, **(environment or {})}, capture_output=True, check=True)
        return Sample((time.perf_counter() - started) / calls, (_children_seconds() - used) / calls)

    return timer


def alternate(
    timers: Mapping[str, Timer], rounds: int, seconds: float = math.inf, *, repeat: bool = True
) -> dict[str, Measured]:
    """Measures contenders in turn, in up to `rounds` rounds after a first call of each.

    Args:
        timers: The contenders by name.
        rounds: The number of rounds.
        seconds: No round starts after this time, except the first.
        repeat: Whether fast calls are repeated within a sample. Otherwise a sample is one call.
    """
    deadline = time.perf_counter() + seconds
    measured = {name: Measured(timer(1)) for name, timer in timers.items()}
    calls = dict.fromkeys(timers, 1)
    if repeat and rounds:
        # The first call of a fast function may compile; that of a slow one shows that no repetition is needed.
        fast = {name: timers[name] for name, each in measured.items() if each.first.value < SLOW}
        calls |= {name: _calls(timer(1).value) for name, timer in fast.items()}
    for number in range(rounds):
        if number and time.perf_counter() > deadline:
            break
        # Every other round in the opposite order, so that none always follows the same one.
        for name in list(timers)[:: -1 if number % 2 else 1]:
            measured[name].samples.append(timers[name](calls[name]))
    return measured


def ratio(measured: Measured, limit: Measured, *, cpu: bool = False) -> float:
    """The median, over the rounds, of the ratio of two contenders in the same round; `cpu` compares the processor time."""
    index = 1 if cpu else 0
    pairs = list(zip(measured.samples, limit.samples, strict=True)) or [(measured.first, limit.first)]
    ratios = [ours[index] / bound[index] for ours, bound in pairs if bound[index] > 0]
    return statistics.median(ratios) if ratios else math.nan


def _calls(seconds: float) -> int:
    return max(1, min(MOST_CALLS, math.ceil(SHORTEST / max(seconds, 1e-9))))


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
