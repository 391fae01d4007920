"""Evenly spaced samples, and the loop over copies × images.

Methods that average over copies of an image (with noise, along a path, behind masks or squares) compute and evaluate the
copies in batches, since all of them together would not fit into memory. It is faster to make the copies within a compiled
function, as described by `cnnexplain.numerics.Copies`; this loop is for copies that are made in NumPy:

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
    from jaxtyping import Float64, Int64, Shaped

    from cnnexplain.model.classifier import Classifier

Item = TypeVar("Item")


@dataclass(frozen=True)
class Batch:
    """A batch of pairs of a copy and an image, ordered by copy.

    Args:
        rows: The slice of these n pairs among all copies × images pairs.
        copy: (n,), the index of each pair's copy.
        image: (n,), the index of each pair's image.
        images: The number of images.
    """

    rows: slice
    copy: Int64[np.ndarray, " n"]
    image: Int64[np.ndarray, " n"]
    images: int

    def sum(
        self, values: Shaped[np.ndarray, "n ..."], weights: Shaped[np.ndarray, " n"] | float = 1.0
    ) -> Float64[np.ndarray, "{self.images} ..."]:
        """The sums over each image's copies in this batch, in double precision.

        Args:
            values: (n, …), the value of each pair.
            weights: The weights of the pairs (n,), or the weight of all pairs.

        Returns:
            (images, …), 0 for images without a copy in this batch.
        """
        own = np.where(self.image == np.arange(self.images)[:, None], weights, 0.0)
        return np.asarray(np.tensordot(own, values.astype(np.float64), 1))


def batches(
    classifier: Classifier, copies: int, images: int, progress: Callable[[int, int], None] = lambda *_: None
) -> Iterator[Batch]:
    """All pairs of a copy and an image, in batches as large as memory allows.

    Args:
        classifier: The model that evaluates them.
        copies: The number of copies of each image.
        images: The number of images.
        progress: Called after each batch with the number of completed pairs and of all pairs.
    """
    total = copies * images
    for rows in classifier.slices(total):
        copy, image = np.divmod(np.arange(rows.start, rows.stop), images)
        yield Batch(rows, copy, image, images)
        progress(rows.stop, total)


def evenly_spaced(items: Sequence[Item], most: int) -> list[Item]:
    """All items if there are at most `most`; otherwise `most` evenly spaced ones, including the first and the last."""
    places = np.linspace(0, len(items) - 1, min(most, len(items))).round().astype(int)
    return [items[place] for place in places]
