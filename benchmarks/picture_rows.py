"""The rows of drawing."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator

import cnnexplain as cx
from benchmarks.rows import Row
from benchmarks.subject import Subject
from benchmarks.timing import local

COUNT, SECONDS = 32, 1 / 20
"""The number of pictures, and the seconds for one of them."""


def pictures(subject: Subject) -> Iterator[Row]:
    """The seconds for a picture with three panels, written with its arrays."""
    record = cx.explain("saliency", subject.classifier, subject.take(COUNT))

    def write() -> None:
        with tempfile.TemporaryDirectory() as folder:
            record.save(folder)

    timers = {"ours": local(write, COUNT)}
    yield Row("one picture with three panels, written", subject.name, timers, SECONDS, repeat=False)
