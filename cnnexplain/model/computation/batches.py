"""The number of images that go through a network at once: as many as fit into memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from cnnexplain import backend
from cnnexplain.errors import OutOfMemoryError

if TYPE_CHECKING:
    from jaxtyping import Shaped

MEMORY = 1 << 30
"""The most bytes for the intermediate results of one batch, if the machine has as many to spare."""

LARGEST_BATCH = 256
"""The largest batch; larger ones are hardly faster per image."""


class Batches:
    """Splits arrays into batches whose size depends on the memory, and shrinks if it does not suffice.

    Args:
        values: The number of values in the outputs of all layers for one image.
        name: The name of the model, for errors.

    Attributes:
        size: The current number of images in a batch, initially a power of two. Each value counts once,
            since a gradient needs all outputs, but only a few other arrays at a time.
    """

    def __init__(self, values: int, name: str) -> None:
        most = max(1, min(LARGEST_BATCH, available_memory() // (4 * values)))
        self.size = 1 << (most.bit_length() - 1)
        self._name = name

    def slices(self, count: int, views: float = 1) -> Iterator[slice]:
        """Slices of `count` items with `views` images each, in batches of the current size.

        `views` is less than 1 for items that take only a share of the memory of an image.
        """
        start = 0
        while start < count:
            stop = min(start + max(1, int(self.size / views)), count)
            yield slice(start, stop)
            start = stop

    def compute(
        self,
        function: Callable[..., list[Shaped[np.ndarray, "_ ..."]]],
        arrays: Sequence[Shaped[np.ndarray, "_ ..."]],
        views: float = 1,
    ) -> list[Shaped[np.ndarray, "_ ..."]]:
        """The outputs of a function for arrays of N items each, computed in batches.

        Args:
            function: Batches of the arrays ↦ arrays with as many items; raises MemoryError if a batch is too large.
            arrays: The arrays; arrays without items form one empty batch.
            views: The number of images that the network gets for each item; see `slices`.

        Raises:
            OutOfMemoryError: There is not enough memory for a single item.
        """
        slices = self.slices(max(len(arrays[0]), 1), views)
        parts = [part for batch in slices for part in self._halving(function, arrays, batch, views)]
        return [np.concatenate(part) if len(part) > 1 else part[0] for part in zip(*parts, strict=True)]

    def _halving(
        self,
        function: Callable[..., list[Shaped[np.ndarray, "_ ..."]]],
        arrays: Sequence[Shaped[np.ndarray, "_ ..."]],
        batch: slice,
        views: float,
    ) -> Iterator[list[Shaped[np.ndarray, "_ ..."]]]:
        """The outputs for a slice of the arrays, which is halved while it needs too much memory."""
        count = min(batch.stop, len(arrays[0])) - batch.start
        try:
            outputs = function(*(array[batch] for array in arrays))
            yield outputs
            return
        except MemoryError as error:
            if count <= 1:
                raise out_of_memory(self._name, views) from error
        self.size = min(self.size, max(1, int(count // 2 * views)))
        middle = batch.start + count // 2
        yield from self._halving(function, arrays, slice(batch.start, middle), views)
        yield from self._halving(function, arrays, slice(middle, batch.stop), views)


def out_of_memory(name: str, images: float = 1) -> OutOfMemoryError:
    """The error for a model that needs more memory for some images than there is."""
    shown = "a single image" if images <= 1 else f"{images} images"
    return OutOfMemoryError(
        f"'{name}' needs more memory for {shown} than there is. Free some memory, or use a smaller model."
    )


def available_memory() -> int:
    """The bytes for the intermediate results of one batch: a quarter of the free memory, on a CPU at most `MEMORY`."""
    # A GPU needs many images at once to be busy; a CPU computes small batches as fast as large ones.
    device = backend.current().device_memory()
    if device is not None:
        return device // 4
    names = getattr(os, "sysconf_names", {})
    if not {"SC_AVPHYS_PAGES", "SC_PHYS_PAGES"} <= set(names):
        return MEMORY
    # The system's file cache counts as used, but is released when needed.
    free = max(os.sysconf("SC_AVPHYS_PAGES") // 4, os.sysconf("SC_PHYS_PAGES") // 16)
    return min(MEMORY, free * os.sysconf("SC_PAGE_SIZE"))
