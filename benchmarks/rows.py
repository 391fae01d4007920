"""What a row of the table is, and which rows there are."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.subjects import Subject
from benchmarks.timing import Timer, alternate, local, ratio

TOLERANCE, OUTLIERS = 1e-3, 1e-3
"""Numbers agree if at most the share `OUTLIERS` of them differ by more than `TOLERANCE` times the largest magnitude: at the
kink of a ReLU, rounding decides which of two gradients is used."""

FAMILIES = {
    "saliency": "gradient_rows",
    "smoothgrad": "gradient_rows",
    "integrated-gradients": "gradient_rows",
    "gradcam": "gradient_rows",
    "intermediate-outputs": "gradient_rows",
    "occlusion": "masking_rows",
    "rise": "masking_rows",
}
"""The names that select rows, each with the module whose function of that name yields them."""


@dataclass(frozen=True)
class Row:
    """A row of the table: the same work by several contenders.

    Args:
        work: What is computed, such as "saliency, 1 image".
        subject: The network, or "" if there is none.
        timers: The contenders by name; "ours" and "limit" first.
        goal: The largest acceptable ratio of ours to the limit; None if there is no goal.
        unit: The unit of the samples: "s" or "MiB".
        difference: Compares the results of ours and the limit after the first calls; see `compare`.
        repeat: Whether fast calls are repeated within a sample.
    """

    work: str
    subject: str
    timers: Mapping[str, Timer]
    goal: float | None = None
    unit: str = "s"
    difference: Callable[[], tuple[float, float]] | None = None
    repeat: bool = True
    notes: Mapping[str, Any] = field(default_factory=dict)


def families(names: list[str]) -> Iterator[tuple[str, Callable[[Subject], Iterator[Row]]]]:
    """The functions that yield the rows of a network, for the families with these names, or for all."""
    for name in names or FAMILIES:
        yield name, getattr(importlib.import_module(f"benchmarks.{FAMILIES[name]}"), name.replace("-", "_"))


def against_limit(
    work: str,
    subject: str,
    ours: Callable[[], Any],
    limit: Callable[[], Mapping[str, np.ndarray]],
    goal: float | None,
    peers: Mapping[str, Timer] | None = None,
) -> Row:
    """A row that compares the record of an analysis with the numbers of a limit by the names of arrays and facts."""
    kept: dict[str, Any] = {}

    def keep(name: str, function: Callable[[], Any]) -> Callable[[], None]:
        def call() -> None:
            result = function()
            kept.setdefault(name, result)

        return call

    def difference() -> tuple[float, float]:
        record, numbers = kept["ours"], kept["limit"]
        values = {name: record.arrays.get(name, record.facts.get(name)) for name in numbers}
        # The record keeps the predicted probability only, with what was explained.
        if "outputs" in numbers:
            values["outputs"] = [each.probability for each in record.explained]
            numbers = {**numbers, "outputs": numbers["outputs"].max(axis=1)}
        return compare(values, numbers)

    timers = {"ours": local(keep("ours", ours)), "limit": local(keep("limit", limit)), **(peers or {})}
    return Row(work, subject, timers, goal, difference=difference)


def compare(values: Mapping[str, Any], expected: Mapping[str, np.ndarray]) -> tuple[float, float]:
    """The largest difference relative to the largest magnitude, and the largest share of an array beyond `TOLERANCE`."""
    worst, share = 0.0, 0.0
    for name, numbers in expected.items():
        given = np.asarray(values[name], np.float64)
        if given.shape != numbers.shape:
            raise SystemExit(f"The limit computes '{name}' of the shape {numbers.shape}, but ours has {given.shape}.")
        apart = np.abs(given - numbers) / max(float(np.abs(numbers).max(initial=0)), 1e-30)
        worst, share = max(worst, float(apart.max(initial=0))), max(share, float((~(apart <= TOLERANCE)).mean()))
    return worst, share


def measure(row: Row, rounds: int, seconds: float) -> dict[str, Any]:
    """Measures a row: its numbers for the table and the JSON file."""
    measured = alternate(row.timers, rounds, seconds, repeat=row.repeat)
    limit = measured.get("limit")
    result: dict[str, Any] = {"work": row.work, "subject": row.subject, "unit": row.unit, "goal": row.goal}
    if limit is not None:
        result["ratio"] = ratio(measured["ours"], limit)
        result["cpu_ratio"] = ratio(measured["ours"], limit, cpu=True)
    result["peers"] = {
        name: ratio(each, limit) for name, each in measured.items() if limit is not None and name not in ("ours", "limit")
    }
    if row.difference is not None:
        result["difference"], share = row.difference()
        result["agrees"] = share <= OUTLIERS
    return {**result, "contenders": {name: each.as_json() for name, each in measured.items()}}
