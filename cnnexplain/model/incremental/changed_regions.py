"""Which part of each layer's feature maps changes if boxes of pixels change in copies of an image."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import keras
import numpy as np

from cnnexplain.model.geometry.windows import Window
from cnnexplain.model.incremental import local_layers
from cnnexplain.model.structure.graph import Call, Graph

if TYPE_CHECKING:
    from jaxtyping import Int


@dataclass(frozen=True, eq=False)
class Region:
    """The rows and columns of feature maps that can change, in each of M copies.

    Args:
        first: (M, 2), the first row and column.
        stop: (M, 2), the row and column after the last.
        shape: The number of rows and columns of the feature maps.
    """

    first: Int[np.ndarray, "M 2"]
    stop: Int[np.ndarray, "M 2"]
    shape: tuple[int, int]

    @cached_property
    def size(self) -> tuple[int, int]:
        """Rows and columns of the largest: all copies are computed as crops of this size."""
        rows, columns = (self.stop - self.first).max(axis=0)
        return int(rows), int(columns)

    @cached_property
    def starts(self) -> Int[np.ndarray, "M 2"]:
        """The first row and column of each crop, so that it lies within the feature maps."""
        return np.asarray(np.clip(self.first, 0, np.array(self.shape) - self.size))

    @property
    def share(self) -> float:
        """The area of a crop as a share of the feature maps."""
        return math.prod(self.size) / math.prod(self.shape)

    def through(self, windows: tuple[Window, Window], shape: tuple[int, int]) -> Region:
        """The region of the units, of `shape` rows and columns, that read one of these places."""
        if local_layers.in_place(windows) and shape == self.shape:
            return self
        first, stop = np.empty_like(self.first), np.empty_like(self.stop)
        for axis, window in enumerate(windows):
            first[:, axis] = -((window.span - 1 - window.pad - self.first[:, axis]) // window.stride)
            stop[:, axis] = (self.stop[:, axis] - 1 + window.pad) // window.stride + 1
        # If no unit reads the places, a crop of a single unit keeps the shapes regular.
        first = np.clip(first, 0, np.array(shape) - 1)
        return Region(first, np.clip(stop, first + 1, shape), shape)

    def union(self, others: Sequence[Region]) -> Region:
        """The smallest region that contains this one and others."""
        if all(each is self for each in others):
            return self
        regions = (self, *others)
        first, stop = np.min([each.first for each in regions], axis=0), np.max([each.stop for each in regions], axis=0)
        return replace(self, first=first, stop=stop)


@dataclass(frozen=True, eq=False)
class Step:
    """A call that is repeated for each copy.

    Args:
        call: The call.
        region: The part of its output that changes; None if that is not known, so that whole feature maps are computed.
        windows: What each unit of the output reads, along rows and columns.
    """

    call: Call
    region: Region | None
    windows: tuple[Window, Window] | None

    @property
    def by_place(self) -> bool:
        """Whether the call can be made on crops of the same region, or on whole feature maps."""
        if self.region is None:
            return True
        # Cropping and padding at the lower right reads each unit in place, but changes the size.
        same_size = self.region.shape == tuple(self.call.sources[0].shape[1:3])
        return same_size and self.windows is not None and local_layers.in_place(self.windows)


def image_region(boxes: Int[np.ndarray, "M 4"], shape: tuple[int, int]) -> Region:
    """The region of boxes, each its first row and column and those after the last, in an image of `shape` rows, columns."""
    return Region(boxes[:, :2], boxes[:, 2:], shape)


def changes(graph: Graph, names: Sequence[str], image: Region) -> list[Step]:
    """The calls that some outputs need and that depend on the image, each with the part of its output that changes.

    Args:
        graph: The graph.
        names: The names of the outputs.
        image: The part of the image that changes.
    """
    regions: dict[int, Region | None] = {id(graph.input): image}
    steps = []
    for call in graph.ancestors(names):
        given = [regions[id(source)] for source in call.sources if id(source) in regions]
        if not given:
            continue
        known = [each for each in given if each is not None]
        windows = local_layers.windows(call) if len(known) == len(given) else None
        outputs = keras.tree.flatten(call.output)
        region = None
        if windows is not None:
            region = known[0].union(known[1:]).through(windows, tuple(outputs[0].shape[1:3]))
        regions.update((id(output), region) for output in outputs)
        steps.append(Step(call, region, windows))
    return steps
