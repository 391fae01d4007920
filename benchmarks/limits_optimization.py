"""The least work of an optimization: plain gradient steps of the batch, without a transfer between them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from keras import ops

from benchmarks.limits import engine
from benchmarks.subject import Subject

RATE = 1e-6
"""The step size, so small that the images stay what they are."""


def score_ascent(subject: Subject, images: np.ndarray, target: int, steps: int) -> Callable[[], object]:
    """Steps along the gradient of a class's score for a batch of images."""
    scores = subject.scores()
    return _steps(subject, lambda x: scores(x)[:, target], images, steps)


def code_descent(subject: Subject, images: np.ndarray, names: Sequence[str], steps: int) -> Callable[[], object]:
    """For each layer ("logits" for the scores) steps along the gradient of the squared distance to a representation."""

    def distance(output: Callable[[Any], Any]) -> Callable[[Any], Any]:
        return lambda x: ops.sum(ops.reshape(output(x) - 1.0, (len(images), -1)) ** 2, axis=1)

    outputs = [subject.scores() if name == "logits" else subject.inference(None, name) for name in names]
    layers = [_steps(subject, distance(output), images, steps) for output in outputs]
    return lambda: [run() for run in layers]


def _steps(subject: Subject, function: Callable[[Any], Any], images: np.ndarray, steps: int) -> Callable[[], object]:
    def step(x: Any) -> Any:
        return x + RATE * engine().gradient(lambda x: (function(x), None), x)[2]

    repeated = engine().repeated(step, steps, subject.model.variables)
    return lambda: repeated(images)
