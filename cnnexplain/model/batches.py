"""How many images go through a network at once: as many as the memory suffices for, fewer where it turns out not to."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from cnnexplain import backend
from cnnexplain.errors import ModelError
from cnnexplain.types import Array

MEMORY = 1 << 30
"""Bytes that the intermediate results of one batch may take, where the machine has so many to spare."""

MOST = 256
"""The longest batch: a longer one is hardly faster per image."""


class Batches:
    """Goes through arrays in batches whose length follows from the memory, and shrinks where that does not suffice.

    Args:
        values: How many numbers all layers of the network return for one image.
        name: Of the model, for errors.

    Attributes:
        size: The current number of images in a batch, at first a power of two. Each value counts three times: the output,
            its gradient, and the room that a layer needs to work.
    """

    def __init__(self, values: int, name: str) -> None:
        most = max(1, min(MOST, available_memory() // (3 * 4 * values)))
        self.size = 1 << (most.bit_length() - 1)
        self._name = name

    def slices(self, count: int, views: int = 1) -> Iterator[slice]:
        """Goes through `count` items of `views` images each, as many at a time as `size` says by then."""
        start = 0
        while start < count:
            stop = min(start + max(1, self.size // views), count)
            yield slice(start, stop)
            start = stop

    def compute(self, function: Callable[..., list[Array]], arrays: Sequence[Array], views: int = 1) -> list[Array]:
        """The outputs of a function for arrays of N items each, computed batch by batch.

        Args:
            function: Batches of the arrays ↦ arrays with an item for each of theirs; raises MemoryError where a batch is
                too long.
            arrays: The arrays; without items they are one empty batch.
            views: How many images the network is given for each item.

        Raises:
            ModelError: There is too little memory for a single item.
        """
        slices = self.slices(max(len(arrays[0]), 1), views)
        parts = [part for here in slices for part in self._halved(function, arrays, here, views)]
        return [np.concatenate(part) if len(part) > 1 else part[0] for part in zip(*parts, strict=True)]

    def _halved(
        self, function: Callable[..., list[Array]], arrays: Sequence[Array], here: slice, views: int
    ) -> Iterator[list[Array]]:
        """The outputs for a slice of the arrays, which is halved as long as it takes too much memory."""
        count = min(here.stop, len(arrays[0])) - here.start
        try:
            found = function(*(array[here] for array in arrays))
            yield found
            return
        except MemoryError as error:
            if count <= 1:
                raise out_of_memory(self._name, views) from error
        self.size = min(self.size, count // 2 * views)
        middle = here.start + count // 2
        yield from self._halved(function, arrays, slice(here.start, middle), views)
        yield from self._halved(function, arrays, slice(middle, here.stop), views)


def out_of_memory(name: str, images: int = 1) -> ModelError:
    """The error for a model that needs more memory for so many images than there is."""
    shown = "a single image" if images == 1 else f"{images} images"
    return ModelError(f"'{name}' needs more memory for {shown} than there is. Free some, or take a smaller model.")


def available_memory() -> int:
    """Bytes for the intermediate results of one batch: a quarter of what is free, on a processor `MEMORY` at most."""
    # A GPU needs many images at once to be busy; a processor computes small batches as fast as large ones.
    device = backend.current().device_memory()
    if device is not None:
        return device // 4
    names = getattr(os, "sysconf_names", {})
    if not {"SC_AVPHYS_PAGES", "SC_PHYS_PAGES"} <= set(names):
        return MEMORY
    # What the system keeps of files counts as used, but is given up when it is needed.
    free = max(os.sysconf("SC_AVPHYS_PAGES") // 4, os.sysconf("SC_PHYS_PAGES") // 16)
    return min(MEMORY, free * os.sysconf("SC_PAGE_SIZE"))
