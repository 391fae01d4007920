"""What a row of the table is, and how it is measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.timing import Measured, Timer, alternate, local, ratio

TOLERANCE, OUTLIERS = 1e-3, 1e-3
"""Numbers agree if at most the share `OUTLIERS` of them differ by more than `TOLERANCE` times the largest magnitude: at the
kink of a ReLU, rounding decides which of two gradients is used."""

LIMIT = "limit"
"""The name of the contender that others are compared with; "NAME limit" is that of a peer in an environment of its own."""


@dataclass(frozen=True)
class Row:
    """A row of the table: the same work by several contenders.

    Args:
        work: What is computed, such as "saliency, 1 image".
        subject: The network, or "" if there is none.
        timers: The contenders by name: "ours", "limit", and the peers.
        goal: The largest acceptable ratio of ours to the limit; without a limit, the largest acceptable value of ours.
        unit: The unit of the samples: "s" or "MiB".
        difference: Compares ours with the limit after the first calls: the largest difference, and the share of outliers.
        repeat: Whether fast calls are repeated within a sample.
        once: Whether the first call is the only one, as it takes minutes or compiles nothing.
    """

    work: str
    subject: str
    timers: Mapping[str, Timer]
    goal: float | None = None
    unit: str = "s"
    difference: Callable[[], tuple[float, float]] | None = None
    repeat: bool = True
    once: bool = False


def row(
    work: str,
    subject: str,
    ours: Callable[[], Any],
    limit: Callable[[], Any],
    goal: float | None,
    peers: Mapping[str, Timer] | None = None,
    *,
    expected: Callable[[], Mapping[str, np.ndarray]] | None = None,
) -> Row:
    """A row whose limit computes the numbers of ours, which are compared by name.

    Args:
        work: As in `Row`.
        subject: As in `Row`.
        ours: Returns a record of cnnexplain, or arrays by name.
        limit: Returns a part of the record's arrays and facts by name.
        goal: As in `Row`.
        peers: Further contenders.
        expected: Computes the numbers to compare with, if the limit does not.
    """
    kept: dict[str, Any] = {}

    def keep(name: str, function: Callable[[], Any]) -> Callable[[], None]:
        def call() -> None:
            result = function()
            kept.setdefault(name, result)

        return call

    def difference() -> tuple[float, float]:
        numbers = expected() if expected else kept[LIMIT]
        return compare(_numbers(kept["ours"]), numbers)

    timers = {"ours": local(keep("ours", ours)), LIMIT: local(keep(LIMIT, limit)), **(peers or {})}
    return Row(work, subject, timers, goal, difference=difference)


def compare(values: Mapping[str, Any], expected: Mapping[str, np.ndarray]) -> tuple[float, float]:
    """The largest difference relative to the largest magnitude, and the largest share of an array beyond `TOLERANCE`.

    Raises:
        ValueError: A shape differs, so that something else was computed.
    """
    worst, share = 0.0, 0.0
    for name, numbers in expected.items():
        given = np.asarray(values[name], np.float64)
        if given.shape != numbers.shape:
            raise ValueError(f"The limit computes '{name}' of the shape {numbers.shape}, but ours has {given.shape}.")
        # The rounding of a difference is relative to what is subtracted.
        scale = expected.get(name.removesuffix("_drop"), numbers)
        apart = np.abs(given - numbers) / max(float(np.abs(scale).max(initial=0)), 1e-30)
        worst, share = max(worst, float(apart.max(initial=0))), max(share, float((~(apart <= TOLERANCE)).mean()))
    return worst, share


def measure(row: Row, rounds: int, seconds: float) -> dict[str, Any]:
    """Measures a row: its numbers for the table and the JSON file."""
    measured = alternate(row.timers, 0 if row.once else rounds, seconds, repeat=row.repeat)
    result: dict[str, Any] = {"work": row.work, "subject": row.subject, "unit": row.unit, "goal": row.goal}
    if LIMIT in measured:
        result["ratio"] = ratio(measured["ours"], measured[LIMIT])
        result["cpu_ratio"] = ratio(measured["ours"], measured[LIMIT], cpu=True)
    result["peers"] = _peers(measured)
    if row.difference is not None:
        result["difference"], share = row.difference()
        result["agrees"] = share <= OUTLIERS
    return {**result, "contenders": {name: each.as_json() for name, each in measured.items()}}


def _peers(measured: Mapping[str, Measured]) -> dict[str, float]:
    """The ratio of each peer to the limit in its own environment, or else to ours."""
    peers: dict[str, float] = {}
    for name, each in measured.items():
        if name != "ours" and not name.endswith(LIMIT):
            limit = measured.get(f"{name} {LIMIT}", measured.get(LIMIT))
            peers |= {} if limit is None else {name: ratio(each, limit)}
    return peers


def _numbers(result: Any) -> Mapping[str, Any]:
    """The arrays and facts of a record by name, or arrays by name as they are."""
    if isinstance(result, Mapping):
        return result
    return {**result.facts, **result.arrays, "prediction_probability": [each.probability for each in result.explained]}
