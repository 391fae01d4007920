"""The rows of the analyses that optimize images: the limit takes as many plain gradient steps, so its numbers differ.

An optimization of n steps computes n + 1 values. The limit takes n gradients, and a forward pass for the last value.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from cnnexplain_plugins.activation_maximization.starts import default_stages

import cnnexplain as cx
from benchmarks import limits_optimization, peers
from benchmarks.rows import Row
from benchmarks.subject import Subject
from benchmarks.timing import local

ASCENT = {"LeNet": default_stages(200), "EfficientNet-lite0": [(3, 64)]}
"""For each network, one after the other, the numbers of images that it sees in a step by default, and of steps: of the
starts that go on, or of views."""

DESCENT = {"LeNet": 200, "EfficientNet-lite0": 16}
"""For each network the number of steps for a layer."""


def activation_maximization(subject: Subject) -> Iterator[Row]:
    """One class, at the default regularization. A few images stand for the data set, which is not part of a step.

    A peer takes all steps with the mean number of images.
    """
    stages = ASCENT[subject.name]
    counts, steps = [count for count, _ in stages], sum(length for _, length in stages)
    images = subject.take(counts[0])
    ours = partial(cx.explain, "activation-maximization", subject.classifier, target=0, steps=steps, dataset=images)
    limit = limits_optimization.score_ascent(subject, images, 0, stages)
    mean = round(sum(count * length for count, length in stages) / steps)
    others = peers.timers("activation-maximization", subject, steps=steps, count=mean)
    yield Row(
        f"activation maximization, {steps} steps × {', '.join(map(str, counts))} images",
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
    limit = limits_optimization.code_descent(subject, images, names, steps)
    yield Row(
        f"inversion, {steps} steps × {len(names)} layers",
        subject.name,
        {"ours": local(ours), "limit": local(limit)},
        1.2,
    )
