"""The outputs of layers for copies of images in which boxes of pixels are replaced, computed incrementally.

Copies differ from the image in a box, so that in the first layers only a part of the feature maps changes. Only that part is
recomputed, until it covers so much that whole feature maps are faster (incremental view maintenance: Nakandala, Kumar,
Papakonstantinou, SIGMOD 2019). The results are those for whole images, except for rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from cnnexplain.errors import ModelError, UsageError, foreign, line, reason
from cnnexplain.model.computation.batches import LARGEST_BATCH
from cnnexplain.model.computation.network import Compiled, Network
from cnnexplain.model.incremental.changed_regions import image_region
from cnnexplain.model.incremental.forward_pass import incremental_pass, places
from cnnexplain.model.incremental.plan import Plan, describe, fastest, memory_share, plans

if TYPE_CHECKING:
    from jaxtyping import Float, Integer, Shaped

SHORT = 64
"""Shorter batches are not made even shorter to have a length that is a power of two."""


def occluded(
    network: Network,
    images: Float[np.ndarray, "N H W C"],
    boxes: Integer[np.ndarray, "*N P 4"],
    fills: Float[np.ndarray, "N H W C"],
    names: tuple[str, ...],
    function: Callable[..., Sequence[Any]] | None,
    arrays: Sequence[Shaped[np.ndarray, "N ..."]],
    progress: Callable[[int, int], None],
) -> tuple[list[Shaped[np.ndarray, "N P ..."]], str]:
    """See `Classifier.occluded`."""
    network.check_images(images)
    network.check_images(fills)
    boxes = _checked(boxes, images)
    count, positions = boxes.shape[:2]
    different, numbers = np.unique(boxes.reshape(-1, 4), axis=0, return_inverse=True)
    numbers = numbers.reshape(-1)

    def decide() -> Plan:
        region = image_region(different, network.shape[:2])
        return fastest(plans(network.graph, names, region, min(positions, LARGEST_BATCH)))

    best = network.recently_compiled(("plan", names, positions, different.tobytes()), decide)
    table = places(best)

    def build() -> Compiled:
        outputs = incremental_pass(network.graph, best, names)

        def computed(copies: Any, *others: Any) -> Sequence[Any]:
            *values, images, fills = others
            found = [keras.ops.cast(each, "float32") for each in outputs(copies, images, fills)]
            return found if function is None else function(dict(zip(names, found, strict=True)), *values)

        shapes = [(1 + table.shape[1],), *(array.shape[1:] for array in arrays)]
        return network.function(computed, shapes, [(None, *network.shape)] * 2)

    sizes = tuple(None if step.region is None else step.region.size for step in best.steps)
    key = ("occluded", function, names, best.image.size, sizes, *(array.shape[1:] for array in arrays))
    compiled = network.recently_compiled(key, build)

    def batch(
        copies: Integer[np.ndarray, "n K"], index: Integer[np.ndarray, " n"], *values: Shaped[np.ndarray, "n ..."]
    ) -> list[Float[np.ndarray, "n ..."]]:
        shown = slice(index[0], index[-1] + 1)
        copies = np.concatenate([(index - index[0])[:, None], copies], axis=1)
        return compiled(copies, *values, images[shown], fills[shown])

    total = count * positions
    share = _memory_share(network, best, positions, total)
    parts = []
    for rows in network.batches.slices(total, share):
        index = np.arange(rows.start, rows.stop) // positions
        given = (table[numbers[rows]], index, *(array[index] for array in arrays))
        with foreign(lambda error: ModelError(f"'{line(network.name)}' can't be computed: {reason(error)}")):
            parts.append(network.in_batches(batch, given, share))
        progress(rows.stop, total)
    outputs = [np.concatenate(each) for each in zip(*parts, strict=True)]
    return [output.reshape(count, positions, *output.shape[1:]) for output in outputs], describe(best)


def _memory_share(network: Network, plan: Plan, positions: int, total: int) -> float:
    """The memory for a copy as a share of that for an image, such that batches have a good length."""
    size = network.batches.size
    # The unchanged feature maps of an image take as much memory as a copy of whole images.
    share = max(memory_share(plan, network.graph), 1 / positions, size / max(size, LARGEST_BATCH))
    length = min(int(size / share), total)
    # Backends that compile for the length of a batch fill it up to a power of two.
    return size / (1 << (length.bit_length() - 1)) if length >= SHORT else share


def _checked(boxes: Integer[np.ndarray, "*N P 4"], images: Float[np.ndarray, "N H W C"]) -> Integer[np.ndarray, "N P 4"]:
    """The boxes of each image.

    Raises:
        UsageError: They have another shape, or one is empty or not within the image.
    """
    count, height, width = images.shape[:3]
    boxes = np.asarray(boxes)
    if boxes.shape[-1:] != (4,) or boxes.ndim not in (2, 3) or (boxes.ndim == 3 and len(boxes) != count):
        raise UsageError(f"The boxes have the shape {boxes.shape}; expected (P, 4), or (N, P, 4) for N = {count} images.")
    # Narrow and unsigned integers would overflow where positions are subtracted.
    boxes = boxes.astype(np.int64)
    first, stop = boxes[..., :2], boxes[..., 2:]
    if not boxes.size or (first < 0).any() or (stop <= first).any() or (stop > (height, width)).any():
        raise UsageError(
            "A box holds the first row and column, and those after the last, of at least one pixel within the images of "
            f"{height}×{width} pixels; some do not, or there are none."
        )
    return np.broadcast_to(boxes, (count, *boxes.shape[-2:]))
