"""Choosing some of many, and the one loop over copies × images.

Methods that average over copies of an image (with noise, along a path, behind masks or squares) make and evaluate the copies
a batch at a time, since together they would not fit into memory:

    gradients = np.zeros(images.shape)
    for batch in batches(classifier, samples, len(images), progress):
        shown = images[batch.image] + noise[batch.copy]
        gradients += batch.sum(classifier.gradient(shown, [objectives[index] for index in batch.image])) / samples
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    from cnnexplain.model.classifier import Classifier
    from cnnexplain.types import Array, Floats, Integers

Item = TypeVar("Item")


@dataclass(frozen=True)
class Batch:
    """Some of all pairs of a copy and an image, which are counted copy by copy.

    Args:
        rows: Which of the copies × images pairs these n are.
        copy: (n,), the number of each one's copy.
        image: (n,), the number of each one's image.
        images: How many images there are.
    """

    rows: slice
    copy: Integers
    image: Integers
    images: int

    def sum(self, values: Array, weights: Floats | float = 1.0) -> Floats:
        """The sums over each image's copies in this batch, in double precision.

        Args:
            values: (n, …), of each pair.
            weights: Of each pair (n,), or of all of them.

        Returns:
            (images, …), 0 for an image that has no copy in this batch.
        """
        own = np.where(self.image == np.arange(self.images)[:, None], weights, 0.0)
        return np.asarray(np.tensordot(own, values.astype(np.float64), 1))


def batches(
    classifier: Classifier, copies: int, images: int, progress: Callable[[int, int], None] = lambda *_: None
) -> Iterator[Batch]:
    """All pairs of a copy and an image, in batches that are as large as the classifier's memory allows.

    Args:
        classifier: What evaluates them.
        copies: How many copies there are of each image.
        images: How many images there are.
        progress: Called after each batch with how many pairs are done, and of how many.
    """
    total = copies * images
    for rows in classifier.slices(total):
        copy, image = np.divmod(np.arange(rows.start, rows.stop), images)
        yield Batch(rows, copy, image, images)
        progress(rows.stop, total)


def evenly_spaced(items: Sequence[Item], most: int) -> list[Item]:
    """All items if there are no more than `most`; else that many, evenly spaced, with the first and the last."""
    places = np.linspace(0, len(items) - 1, min(most, len(items))).round().astype(int)
    return [items[place] for place in places]
