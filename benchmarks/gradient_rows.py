"""The rows of the analyses by gradients."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import cnnexplain as cx
from benchmarks import limits, named_limits, peers
from benchmarks.rows import Row, row
from benchmarks.subject import Subject

NOISE = 0.15
"""The standard deviation of the noise of SmoothGrad, as a share of the input range."""


def saliency(subject: Subject) -> Iterator[Row]:
    """One image, and many."""
    small = subject.name == "LeNet"
    for count, goal in ((1, 1.3 if small else 1.05), (1024 if small else 16, 1.05)):
        yield row(
            f"saliency, {count:,} image{'s' * (count > 1)}",
            subject.name,
            partial(cx.explain, "saliency", subject.classifier, subject.take(count)),
            named_limits.saliency(subject, count),
            goal,
            peers.timers("saliency", subject, count=count),
        )


def smoothgrad(subject: Subject) -> Iterator[Row]:
    """One image with as many noisy copies as a user waits for."""
    samples, goal = (50, 1.1) if subject.name == "LeNet" else (16, 1.05)
    images = subject.take(1)
    yield row(
        f"SmoothGrad, {samples} copies, 1 image",
        subject.name,
        partial(cx.explain, "smoothgrad", subject.classifier, images, samples=samples, error=0.0, noise=NOISE),
        named_limits.smoothgrad(subject, samples, NOISE),
        goal,
        peers.timers("smoothgrad", subject, samples=samples, noise=NOISE),
    )


def integrated_gradients(subject: Subject) -> Iterator[Row]:
    """One image with as many steps."""
    steps, goal = (50, 1.1) if subject.name == "LeNet" else (16, 1.05)
    yield row(
        f"Integrated Gradients, {steps} steps, 1 image",
        subject.name,
        partial(cx.explain, "integrated-gradients", subject.classifier, subject.take(1), steps=steps),
        named_limits.integrated_gradients(subject, steps),
        goal,
        peers.timers("integrated-gradients", subject, steps=steps),
    )


def gradcam(subject: Subject) -> Iterator[Row]:
    """One image, at the last feature maps."""
    yield row(
        "Grad-CAM, 1 image",
        subject.name,
        partial(cx.explain, "gradcam", subject.classifier, subject.take(1)),
        named_limits.gradcam(subject, 1),
        1.2 if subject.name == "LeNet" else 1.05,
        peers.timers("gradcam", subject, count=1),
    )


def intermediate_outputs(subject: Subject) -> Iterator[Row]:
    """One image, the layers shown by default."""
    images = subject.take(1)
    ours = partial(cx.explain, "intermediate-outputs", subject.classifier, images)
    names = [name.removeprefix("output/") for name in ours().arrays if name.startswith("output/")]
    yield row(
        f"intermediate outputs of {len(names)} layers, 1 image",
        subject.name,
        ours,
        limits.intermediate_outputs(subject, images, names),
        1.5,
    )
