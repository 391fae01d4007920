"""The rows of the analyses that hide parts of the image."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import cnnexplain as cx
from benchmarks import named_limits, peers
from benchmarks.rows import Row, row
from benchmarks.subject import Subject

SQUARES = {"LeNet": (4, 1, 1.1), "EfficientNet-lite0": (32, 16, 0.7), "VGG16": (32, 16, 0.25)}
"""For each network the side of the square, its stride, and the goal."""

CELLS = {"LeNet": 4, "EfficientNet-lite0": 7}
"""For each network the default number of cells of a mask."""


def occlusion(subject: Subject) -> Iterator[Row]:
    """One image, one square."""
    patch, stride, goal = SQUARES[subject.name]
    images = subject.take(1)
    # As many positions as fit, and the one that touches the end.
    count = (len(range(0, images.shape[1] - patch, stride)) + 1) ** 2
    yield row(
        f"occlusion {patch}/{stride}, {count} positions, 1 image",
        subject.name,
        partial(cx.explain, "occlusion", subject.classifier, images, patch=patch, stride=stride, compare="none"),
        named_limits.occlusion(subject, patch, stride),
        goal,
        peers.timers("occlusion", subject, patch=patch, stride=stride),
    )


def rise(subject: Subject, masks: int = 1000) -> Iterator[Row]:
    """One image, as many masks as by default."""
    cells = CELLS[subject.name]
    yield row(
        f"RISE, {masks:,} masks, 1 image",
        subject.name,
        partial(cx.explain, "rise", subject.classifier, subject.take(1), masks=masks),
        named_limits.rise(subject, masks, cells),
        1.1,
        peers.timers("rise", subject, masks=masks, cells=cells),
    )
