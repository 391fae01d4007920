"""The rows of the analyses by gradients."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import cnnexplain as cx
from benchmarks import limits
from benchmarks.rows import Row, row
from benchmarks.subjects import Subject

NOISE = 0.15
"""The standard deviation of the noise of SmoothGrad, as a share of the input range."""


def saliency(subject: Subject) -> Iterator[Row]:
    """One image, and many."""
    small = subject.name == "LeNet"
    for count, goal in ((1, 1.3 if small else 1.05), (1024 if small else 16, 1.05)):
        images = subject.take(count)
        yield row(
            f"saliency, {count:,} image{'s' * (count > 1)}",
            subject.name,
            partial(cx.explain, "saliency", subject.classifier, images),
            limits.saliency(subject, images),
            goal,
        )


def smoothgrad(subject: Subject) -> Iterator[Row]:
    """One image with as many noisy copies as a user waits for."""
    samples, goal = (50, 1.1) if subject.name == "LeNet" else (16, 1.05)
    image = subject.images[0]
    yield row(
        f"SmoothGrad, {samples} copies, 1 image",
        subject.name,
        partial(cx.explain, "smoothgrad", subject.classifier, image[None], samples=samples, error=0.0, noise=NOISE),
        limits.smoothgrad(subject, image, samples, NOISE),
        goal,
    )


def integrated_gradients(subject: Subject) -> Iterator[Row]:
    """One image with as many steps."""
    steps, goal = (50, 1.1) if subject.name == "LeNet" else (16, 1.05)
    image = subject.images[0]
    yield row(
        f"Integrated Gradients, {steps} steps, 1 image",
        subject.name,
        partial(cx.explain, "integrated-gradients", subject.classifier, image[None], steps=steps),
        limits.integrated_gradients(subject, image, steps),
        goal,
    )


def gradcam(subject: Subject) -> Iterator[Row]:
    """One image, at the last feature maps."""
    images = subject.take(1)
    yield row(
        "Grad-CAM, 1 image",
        subject.name,
        partial(cx.explain, "gradcam", subject.classifier, images),
        limits.gradcam(subject, images),
        1.2 if subject.name == "LeNet" else 1.05,
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
