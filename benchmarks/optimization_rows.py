"""The rows of the analyses that optimize images: the limit takes as many plain gradient steps, so its numbers differ.

An optimization of n steps computes n + 1 gradients, as its values include that at the start.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import cnnexplain as cx
from benchmarks import limits_optimization, peers
from benchmarks.rows import Row
from benchmarks.subject import Subject
from benchmarks.timing import local

ASCENT = {"LeNet": (200, 8), "EfficientNet-lite0": (64, 3)}
"""For each network the number of steps, and of images that the network sees in a step by default: starts, or views."""

DESCENT = {"LeNet": 200, "EfficientNet-lite0": 16}
"""For each network the number of steps for a layer."""


def activation_maximization(subject: Subject) -> Iterator[Row]:
    """One class, at the default regularization. A few images stand for the data set, which is not part of a step."""
    steps, count = ASCENT[subject.name]
    images = subject.take(count)
    ours = partial(cx.explain, "activation-maximization", subject.classifier, target=0, steps=steps, dataset=images)
    limit = limits_optimization.score_ascent(subject, images, 0, steps + 1)
    others = peers.timers("activation-maximization", subject, steps=steps, count=count)
    yield Row(
        f"activation maximization, {steps} steps × {count} images",
        subject.name,
        {"ours": local(ours), "limit": local(limit), **others},
        1.15,
    )


def inversion(subject: Subject) -> Iterator[Row]:
    """One image, the default layers and parametrization."""
    steps, images = DESCENT[subject.name], subject.take(1)
    ours = partial(cx.explain, "inversion", subject.classifier, images, iterations=steps)
    arrays = cx.explain("inversion", subject.classifier, images, iterations=1).arrays
    names = [name.removeprefix("reconstruction/") for name in arrays if name.startswith("reconstruction/")]
    limit = limits_optimization.code_descent(subject, images, names, steps + 1)
    yield Row(
        f"inversion, {steps} steps × {len(names)} layers",
        subject.name,
        {"ours": local(ours), "limit": local(limit)},
        1.2,
    )
