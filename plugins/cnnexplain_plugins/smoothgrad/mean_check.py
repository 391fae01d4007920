"""The mean gradient over noise, from slopes of the score at copies of the image with other noise."""

from __future__ import annotations

import numpy as np

from cnnexplain import checks
from cnnexplain.plugin import Measurement, Subject

COPIES, DIRECTIONS = 48, 3
"""The number of new copies, and of random directions, beside that of the gradient of the image itself."""

STEP, DEVIATIONS = 1e-3, 4.0
"""The step of the central differences, as a share of the input range; and how many standard errors the recorded mean may be
from the new one: for a normal distribution, 4 of them are exceeded once in 16,000 times."""


def measure(subject: Subject) -> Measurement:
    """The largest distance, in standard errors, between the recorded mean slope along a direction and that of new copies."""
    objective, preprocess = subject.objective, subject.classifier.preprocess
    if objective is None:
        return Measurement(None, detail="no target is explained")
    image, random = subject.image, subject.random
    span = np.abs(preprocess.white.astype(np.float64) - preprocess.black)
    # The recorded gradient itself would be a biased choice: its own noise lies along it.
    gradient = subject.classifier.gradient(image, [objective])[0].astype(np.float64)
    directions = random.normal(size=(DIRECTIONS, *image.shape[1:]))
    if gradient.any():
        directions = np.concatenate([directions, gradient[None] / gradient.std()])
    noisy = image + subject.options["noise"] * span * random.normal(size=(COPIES, *image.shape[1:]))
    function = checks.scores(subject.classifier, objective)
    worst = 0.0
    for direction in directions * span:
        forward, backward = (function((noisy + sign * STEP * direction).astype(np.float32)) for sign in (1, -1))
        slopes = (forward.astype(np.float64) - backward) / (2 * STEP)
        recorded = float((subject.array("gradient").astype(np.float64) * direction).sum())
        error = slopes.std(ddof=1) * np.sqrt(1 / COPIES + 1 / subject.fact("samples"))
        distance = abs(recorded - slopes.mean())
        worst = max(worst, float(distance / error) if error else (0.0 if distance == 0 else float("inf")))
    return Measurement(worst, DEVIATIONS, f"standard errors, {len(directions)} directions, {COPIES} new copies")
