"""The arrays of a result, compared with those of a second run, for checks that compute with other options."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from cnnexplain.checks.costs import affordable, too_expensive
from cnnexplain.checks.numbers import difference
from cnnexplain.checks.rounding import ROUNDING
from cnnexplain.plugin.check import Measurement, Subject


def confirmed(measured: Measurement, subject: Subject, arrays: Iterable[str]) -> Measurement:
    """A measurement of a run with other options, if a run with those of the result gives its arrays again.

    Otherwise the largest difference of an array from that of the second run, which does not pass. If the second run takes
    minutes, the detail says that it was left out.

    Args:
        measured: What a check has measured for a run with other options, such as fewer steps.
        subject: The subject of the check.
        arrays: The names of arrays of the result.
    """
    if not affordable(subject, 1):
        detail = f"{measured.detail}; the result was not recomputed: {too_expensive(subject, 1)}"
        return replace(measured, detail=detail)
    again = subject.explain()
    for name in arrays:
        own, other = subject.array(name), again.arrays[name][0]
        error = difference(other, own) if np.shape(other) == np.shape(own) else float("inf")
        if not error <= ROUNDING:
            return Measurement(error, ROUNDING, f"a second run gives another array '{name}'")
    return measured
