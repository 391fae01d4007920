"""Receptive fields: the pixels that the units of a layer see, along rows and along columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float, Float32, Int


@dataclass(frozen=True)
class Axis:
    """Along rows or columns, unit i sees the pixels from start + i · step up to, not including, start + i · step + size."""

    start: int
    step: int
    size: int

    @property
    def whole(self) -> bool:
        """Whether every unit sees all pixels."""
        return self.step == 0

    def first(self, unit: int) -> int:
        """The first pixel that a unit sees; negative if it lies outside the image."""
        return self.start + unit * self.step

    def middle(self, unit: int) -> float:
        """The middle of the pixels that a unit sees, regardless of the border of the image."""
        return self.first(unit) + (self.size - 1) / 2

    def slice(self, unit: int, length: int) -> slice:
        """The pixels that a unit sees in an image of `length` pixels."""
        first = self.first(unit)
        return slice(min(max(first, 0), length), min(max(first + self.size, 0), length))

    def plain(self) -> list[int]:
        """For JSON: start, step and size."""
        return [self.start, self.step, self.size]


@dataclass(frozen=True)
class Spans:
    """Along rows or columns, unit i sees the pixels from starts[i] up to, not including, stops[i].

    For units whose windows differ in size or are not at regular steps, as after enlarging. All pixels lie inside the image.
    A unit that sees no pixel, such as one in padding, has an empty span.
    """

    starts: tuple[int, ...]
    stops: tuple[int, ...]

    whole = False
    """Whether every unit sees all pixels; such fields are given as an `Axis`."""

    @property
    def size(self) -> int:
        """The most pixels that a unit sees."""
        return max(stop - start for start, stop in zip(self.starts, self.stops, strict=True))

    def first(self, unit: int) -> int:
        """The first pixel of a patch of `size` pixels that contains all pixels that a unit sees.

        At the borders, where a unit sees fewer pixels, the patch extends beyond the image: it is negative at the first
        border.
        """
        start, stop = self.starts[unit], self.stops[unit]
        return start if start else stop - self.size

    def middle(self, unit: int) -> float:
        """The middle of the pixels that a unit sees."""
        return (self.starts[unit] + self.stops[unit] - 1) / 2

    def slice(self, unit: int, length: int) -> slice:
        """The pixels that a unit sees in an image of `length` pixels."""
        return slice(min(self.starts[unit], length), min(self.stops[unit], length))

    def plain(self) -> list[list[int]]:
        """For JSON: for each unit the first pixel and the one after the last."""
        return [list(each) for each in zip(self.starts, self.stops, strict=True)]

    def through(self, taps: Int[np.ndarray, "units k"]) -> Spans:
        """The pixels that units see if they read some of these units.

        Args:
            taps: (n, k), for each new unit the indices of the units that it reads; negative for none.
        """
        starts, stops = np.array(self.starts), np.array(self.stops)
        read = (taps >= 0) & (starts < stops)[taps]
        first = np.where(read, starts[taps], max(self.stops)).min(axis=1)
        last = np.where(read, stops[taps], 0).max(axis=1)
        seen = read.any(axis=1)
        return Spans(*(tuple(np.where(seen, each, 0).tolist()) for each in (first, last)))

    def union(self, other: Spans) -> Spans:
        """The pixels that units see if they read the same unit of both."""
        count = len(self.starts)
        both = Spans(self.starts + other.starts, self.stops + other.stops)
        return both.through(np.stack([np.arange(count), np.arange(count) + count], axis=1))

    behind, with_those_of = through, union
    """The former names of these methods."""


@dataclass(frozen=True)
class Field:
    """The receptive fields of a layer's units, along rows and columns.

    Each is an `Axis` if the windows of the units have regular steps, with step 0 if every unit sees the whole image, and
    `Spans` otherwise. Both have `size`, the most that a unit sees, and `slice`, what one unit sees.
    """

    rows: Axis | Spans
    columns: Axis | Spans

    @property
    def whole(self) -> bool:
        """Whether every unit sees the whole image."""
        return self.rows.whole and self.columns.whole

    def cut(
        self, image: Float[np.ndarray, "H W C"], row: int, column: int, gray: Float[np.ndarray, " C"]
    ) -> Float32[np.ndarray, "h w C"]:
        """The part of an image that unit (row, column) sees.

        Args:
            image: (H, W, C).
            row: The row of the unit.
            column: The column of the unit.
            gray: (C,), the color of pixels outside the receptive field.

        Returns:
            (h, w, C), of the same size for all units of the layer: that of the largest receptive field. If that is larger
            than the image, the size is the image's, and the visible pixels are at their places in the image.
        """
        size, inside, where = [], [], []
        for axis, unit, length in zip((self.rows, self.columns), (row, column), image.shape[:2], strict=True):
            pixels = axis.slice(unit, length)
            first = axis.first(unit) if axis.size <= length else 0
            size.append(min(axis.size, length))
            inside.append(pixels)
            where.append(slice(pixels.start - first, pixels.stop - first))
        patch = np.broadcast_to(gray, (*size, image.shape[-1])).astype(np.float32)
        patch[tuple(where)] = image[tuple(inside)]
        return patch
