"""The rows of the deconvnet, and of the strongest patches of a data set."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from cnnexplain_plugins.deconvnet.peaks import locate, strongest_images

import cnnexplain as cx
from benchmarks import limits_pullbacks
from benchmarks.rows import Row, row
from benchmarks.subject import Subject

DIGITS = 10_000
"""The number of test digits, which are the default data set of a digit classifier."""


def deconvnet(subject: Subject) -> Iterator[Row]:
    """One image, all at its defaults; with a data set, the limit includes one forward pass over it."""
    images = subject.take(1)
    ours = partial(cx.explain, "deconvnet", subject.classifier, images)
    record = ours()
    arrays, facts = record.arrays, record.facts
    units = limits_pullbacks.shown_units(images[0], facts, arrays)
    search: Callable[[], object] = dict
    if "over_dataset" in facts:
        digits = _digits(subject)
        units += limits_pullbacks.patch_units(lambda name: digits[int(name.rpartition("/")[2])], facts, arrays)
        search = limits_pullbacks.strongest(subject, digits, list(facts["over_dataset"]))
    pullbacks = limits_pullbacks.pullbacks(subject, units)

    def limit() -> dict[str, np.ndarray]:
        search()
        return pullbacks()

    count = sum(len(each.values) for each in units)
    dataset = f", {DIGITS:,} digits" if "over_dataset" in facts else ""
    yield row(f"deconvnet, {count} pull-backs{dataset}", subject.name, ours, limit, 1.3)


def top_patches(subject: Subject) -> Iterator[Row]:
    """The nine strongest activations of each map of every convolution over many digits, against one bare forward pass."""
    digits = _digits(subject)
    layers, stream = subject.classifier.convolutions, cx.open_stream("mnist:test", subject.classifier)

    def ours() -> dict[str, np.ndarray]:
        peaks = strongest_images(subject.classifier, stream, layers)
        units = locate(subject.classifier, stream, peaks, {layer.name: np.arange(layer.shape[-1]) for layer in layers})
        return {name: each.values for name, each in units.items()}

    limit = limits_pullbacks.forward(subject, digits)
    expected = limits_pullbacks.strongest(subject, digits, [layer.name for layer in layers])
    yield row(f"top nine patches, {DIGITS:,} digits", subject.name, ours, limit, 1.5, expected=expected)


def _digits(subject: Subject) -> np.ndarray:
    return np.asarray(cx.read_images([f"mnist:test/{index}" for index in range(DIGITS)], subject.classifier))
