"""The rows of the analyses that hide parts of the image."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import cnnexplain as cx
from benchmarks import limits_masking
from benchmarks.rows import Row, row
from benchmarks.subjects import Subject

SQUARES = {"LeNet": (4, 1, 1.1), "EfficientNet-lite0": (32, 16, 0.7), "VGG16": (32, 16, 0.25)}
"""For each network the side of the square, its stride, and the goal."""

CELLS = {"LeNet": 4, "EfficientNet-lite0": 7}
"""For each network the default number of cells of a mask."""


def occlusion(subject: Subject) -> Iterator[Row]:
    """One image, one square."""
    patch, stride, goal = SQUARES[subject.name]
    image = subject.images[0]
    # As many positions as fit, and the one that touches the end.
    side = len(range(0, image.shape[0] - patch, stride)) + 1
    yield row(
        f"occlusion {patch}/{stride}, {side**2} positions, 1 image",
        subject.name,
        partial(cx.explain, "occlusion", subject.classifier, image[None], patch=patch, stride=stride, compare="none"),
        limits_masking.occlusion(subject, image, patch, stride),
        goal,
    )


def rise(subject: Subject, masks: int = 1000) -> Iterator[Row]:
    """One image, as many masks as by default."""
    image, cells = subject.images[0], CELLS[subject.name]
    yield row(
        f"RISE, {masks:,} masks, 1 image",
        subject.name,
        partial(cx.explain, "rise", subject.classifier, image[None], masks=masks),
        limits_masking.rise(subject, image, masks, cells),
        1.1,
    )
