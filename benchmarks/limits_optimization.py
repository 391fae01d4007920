"""The least work of an optimization: as many compiled gradients of the batch as it has steps, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from keras import ops

from benchmarks.limits import engine
from benchmarks.subject import Subject


def score_gradients(subject: Subject, images: np.ndarray, target: int, steps: int) -> Callable[[], None]:
    """The gradient of a class's score for a batch of images, `steps` times."""
    scores = subject.scores()

    def compute(x: Any) -> Any:
        values, _, slope = engine().gradient(lambda x: (scores(x)[:, target], None), x)
        return {"values": values, "slope": slope}

    return _repeated(subject, [compute], images, steps)


def code_gradients(subject: Subject, images: np.ndarray, names: Sequence[str], steps: int) -> Callable[[], None]:
    """For each layer ("logits" for the scores) the gradient of the squared distance to a representation, `steps` times."""

    def of(name: str) -> Callable[[Any], Any]:
        output = subject.scores() if name == "logits" else subject.inference(None, name)

        def compute(x: Any) -> Any:
            def distance(x: Any) -> Any:
                code = output(x)
                return ops.sum(ops.reshape(code - 1.0, (-1, int(np.prod(code.shape[1:])))) ** 2, axis=1), None

            values, _, slope = engine().gradient(distance, x)
            return {"values": values, "slope": slope}

        return compute

    return _repeated(subject, [of(name) for name in names], images, steps)


def _repeated(
    subject: Subject, functions: Sequence[Callable[[Any], Any]], images: np.ndarray, steps: int
) -> Callable[[], None]:
    compiled = [engine().compiled(function, subject.model.variables) for function in functions]

    def limit() -> None:
        for function in compiled:
            for _ in range(steps):
                function(images)

    return limit
