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


def score_ascent(
    subject: Subject, images: np.ndarray, target: int, stages: Sequence[tuple[int, int]]
) -> Callable[[], object]:
    """Steps along the gradient of a class's score for a batch of images, and the scores at the end.

    Args:
        subject: The network.
        images: The images.
        target: The class.
        stages: One after the other, the numbers of images that go on, and of the steps that they take.
    """
    scores = subject.scores()
    return _steps(subject, lambda x: scores(x)[:, target], images, stages)


def code_descent(subject: Subject, images: np.ndarray, names: Sequence[str], steps: int) -> Callable[[], object]:
    """For each layer ("logits" for the scores) steps along the gradient of the squared distance to a representation.

    The distance at the end is also computed.
    """

    def distance(output: Callable[[Any], Any]) -> Callable[[Any], Any]:
        return lambda x: ops.sum(ops.reshape(output(x) - 1.0, (len(images), -1)) ** 2, axis=1)

    outputs = [subject.scores() if name == "logits" else subject.inference(None, name) for name in names]
    layers = [_steps(subject, distance(output), images, [(len(images), steps)]) for output in outputs]
    return lambda: [run() for run in layers]


def _steps(
    subject: Subject, function: Callable[[Any], Any], images: np.ndarray, stages: Sequence[tuple[int, int]]
) -> Callable[[], object]:
    def step(x: Any) -> Any:
        return x + RATE * engine().gradient(lambda x: (function(x), None), x)[2]

    loops = [(count, engine().repeated(step, steps, subject.model.variables)) for count, steps in stages]
    values = engine().compiled(function, subject.model.variables)

    def run() -> object:
        x = images
        for count, loop in loops:
            x = loop(x[:count])
        return x, values(x)

    return run
