"""The verification of a result: a row for each check, with its measurements and its verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cnnexplain.plugin.check import Check, Measurement

VERDICTS = {True: "passed", False: "FAILED", None: "–"}
"""The word for the outcome of a check; a check that is not applicable, or has no limit, has no verdict."""


CONSTANT = "the map is constant, so there is nothing to compare"
"""The detail of a check that has no verdict because the map of an image is the same everywhere."""


@dataclass(frozen=True)
class Row:
    """The outcome of a check for all images.

    Args:
        kind: What the check is about: "definition", "stability", "network" or "second opinion".
        check: The check.
        measurements: What it has measured, for each image.
        error: The message of an error that ended the check; "" if there was none.
    """

    kind: str
    check: Check
    measurements: tuple[Measurement, ...]
    error: str = ""

    @property
    def passed(self) -> bool | None:
        """Whether the check passed for every image to which it applies; None if it applies to none or has no limit."""
        if self.error:
            return False
        verdicts = [each.passed for each in self.measurements if each.passed is not None]
        return all(verdicts) if verdicts else None

    @property
    def worst(self) -> int:
        """The index of the image with the measurement that is largest beside its limit."""
        places = range(len(self.measurements))
        return max(places, key=lambda place: self._rank(self.measurements[place]))

    @staticmethod
    def _rank(measurement: Measurement) -> tuple[bool, float]:
        return measurement.value is not None, measurement.excess

    @property
    def shown(self) -> Measurement:
        """The worst measurement; that of an error is not a number."""
        return Measurement(math.nan, 0.0, self.error) if self.error else self.measurements[self.worst]

    @property
    def value(self) -> str:
        """The measured value as text; "" if there is none."""
        return "" if self.shown.value is None or self.error else f"{self.shown.value:.2g}"

    @property
    def limit(self) -> str:
        """The limit as text; "" if there is none."""
        return "" if self.shown.limit is None or self.error else f"{self.shown.limit:.2g}"

    @property
    def verdict(self) -> str:
        """One of `VERDICTS`."""
        return VERDICTS[self.passed]

    def as_json(self) -> dict[str, Any]:
        """The row for JSON; a value that is not finite is None."""
        return {
            "kind": self.kind,
            "check": self.check.name,
            "meaning": self.check.meaning,
            "passed": self.passed,
            "value": _finite(self.shown.value),
            "limit": _finite(self.shown.limit),
            "detail": self.shown.detail,
            "error": self.error,
            "images": [
                {"value": _finite(each.value), "limit": _finite(each.limit), "passed": each.passed, "detail": each.detail}
                for each in self.measurements
            ],
        }


@dataclass(frozen=True, repr=False)
class Verification:
    """The outcome of the checks of a result.

    Args:
        analysis: The name of the analysis.
        model: The name and the hash of the model.
        images: The sources of the images.
        rows: The checks, in the order in which they were made.
        seconds: The run time of the checks.
        record: The hash of the record (see `fingerprint.of_record`); "" if it is unknown, as after reading a file.
    """

    analysis: str
    model: Mapping[str, Any]
    images: tuple[str, ...]
    rows: tuple[Row, ...]
    seconds: float
    record: str = ""

    @property
    def passed(self) -> bool:
        """Whether no check failed."""
        return all(row.passed is not False for row in self.rows)

    @property
    def failed(self) -> tuple[str, ...]:
        """The names of the checks that failed."""
        return tuple(row.check.name for row in self.rows if row.passed is False)

    @property
    def outcome(self) -> str:
        """A clause with the outcome, such as "all 7 checks passed" or "5 checks passed, 2 without a verdict"."""
        decided = sum(row.passed is not None for row in self.rows)
        checks = "check" if decided == 1 else "checks"
        unclear = len(self.rows) - decided
        if not decided:
            outcome = "no check applies"
        elif self.failed:
            outcome = f"{len(self.failed)} of {decided} {checks} failed: {', '.join(self.failed)}"
        elif unclear:
            outcome = f"{decided} {checks} passed, {unclear} without a verdict"
        else:
            outcome = "the 1 check passed" if decided == 1 else f"all {decided} checks passed"
        return f"{outcome}{self._constant}"

    @property
    def _constant(self) -> str:
        """How many maps are constant, as a part of a sentence; "" if none is."""
        places = {place for row in self.rows for place, each in enumerate(row.measurements) if each.detail == CONSTANT}
        if not places:
            return ""
        if len(self.images) < 2:
            return "; the map is constant"
        return f"; {len(places)} of {len(self.images)} maps {'is' if len(places) == 1 else 'are'} constant"

    @property
    def conclusion(self) -> str:
        """A sentence with the analysis and the outcome."""
        return f"{self.analysis}: {self.outcome}."

    def __repr__(self) -> str:
        width = max((len(row.check.name) for row in self.rows), default=0)
        lines = [
            f"{row.check.name:{width}}  {row.value:>8}  {row.limit and f'≤ {row.limit}':>9}  {row.verdict:6}  "
            f"{row.shown.detail}".rstrip()
            for row in self.rows
        ]
        return "\n".join([*lines, self.conclusion])

    def as_json(self) -> dict[str, Any]:
        """The verification for JSON."""
        return {
            "analysis": self.analysis,
            "passed": self.passed,
            "conclusion": self.conclusion,
            "model": dict(self.model),
            "images": list(self.images),
            "checks": [row.as_json() for row in self.rows],
            "seconds": round(self.seconds, 3),
        }


def joined(verifications: Sequence[Verification]) -> Verification | None:
    """The verification of a result whose parts were verified one by one; None without parts.

    A check that was not made of a part, such as one by a package that was not installed then, has no verdict for its images.
    """
    if len(verifications) < 2:
        return verifications[0] if verifications else None
    checks = {(row.kind, row.check.name): row for each in verifications for row in each.rows}
    rows = []
    for key, row in checks.items():
        measurements: list[Measurement] = []
        errors = []
        for each in verifications:
            own = next((row for row in each.rows if (row.kind, row.check.name) == key), None)
            measured = () if own is None else own.measurements
            error = "" if own is None else own.error
            missing = Measurement(None, detail=error or "not checked")
            measurements += [*measured, *[missing] * (len(each.images) - len(measured))]
            errors.append(error)
        rows.append(Row(row.kind, row.check, tuple(measurements), next(filter(None, errors), "")))
    sources = tuple(source for each in verifications for source in each.images)
    seconds = sum(each.seconds for each in verifications)
    return Verification(verifications[0].analysis, verifications[0].model, sources, tuple(rows), seconds)


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)
