"""Integrated gradients with few steps, from slopes of the score along the path, which needs no gradient."""

from __future__ import annotations

import numpy as np

from cnnexplain import checks
from cnnexplain.plugin import Measurement, Subject

STEPS = 4
"""The number of steps. With the 128 of a result, rounding and kinks add up less, but a check would take as long as a run."""


def measure(subject: Subject) -> Measurement:
    """The error of the contributions of random rectangles, relative to these contributions."""
    if subject.objective is None:
        return Measurement(None, detail="no target is explained")
    record = subject.explain(steps=STEPS)
    start, masks = record.arrays["baseline"][0].astype(np.float64), checks.rectangles(subject)
    way = subject.image[0] - start
    nodes, weights = np.polynomial.legendre.leggauss(STEPS)
    function = checks.scores(subject.classifier, subject.objective)
    found = [checks.slopes(function, (start + (node + 1) / 2 * way).astype(np.float32), masks * way) for node in nodes]
    values, doubts = (
        np.sum([weight / 2 * each for weight, each in zip(weights, column, strict=True)], axis=0)
        for column in ([each.values for each in found], [each.doubts for each in found])
    )
    totals = (record.arrays["attribution"][0].astype(np.float64) * masks).sum(axis=(1, 2, 3))
    measured = checks.slope_measurement(totals, checks.Slopes(values, doubts), f"rectangles, {STEPS} steps")
    return checks.confirmed(measured, subject, ["attribution"])
