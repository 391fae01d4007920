"""What the units of a layer see of an image, along rows and along columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from cnnexplain.types import Array, Floats


@dataclass(frozen=True)
class Axis:
    """Along rows or columns, unit i sees the pixels from start + i · step up to, not including, start + i · step + size."""

    start: int
    step: int
    size: int

    @property
    def whole(self) -> bool:
        """Whether every unit sees all the pixels."""
        return self.step == 0

    def first(self, unit: int) -> int:
        """Where what unit `unit` sees begins, negative where that lies beyond the border."""
        return self.start + unit * self.step

    def middle(self, unit: int) -> float:
        """The middle of what unit `unit` sees; the border is not minded."""
        return self.first(unit) + (self.size - 1) / 2

    def slice(self, unit: int, length: int) -> slice:
        """The pixels of unit `unit` that lie in an image of that many pixels."""
        first = self.first(unit)
        return slice(min(max(first, 0), length), min(max(first + self.size, 0), length))

    def plain(self) -> list[int]:
        """The same as JSON: start, step and size."""
        return [self.start, self.step, self.size]


@dataclass(frozen=True)
class Spans:
    """Along rows or columns, unit i sees the pixels from starts[i] up to, not including, stops[i].

    So it is where the windows of the units have no common size or go on in no regular steps, as after enlarging. All the
    pixels lie inside the image. A unit that sees none, such as one in padding, has an empty span.
    """

    starts: tuple[int, ...]
    stops: tuple[int, ...]

    whole = False
    """Whether every unit sees all the pixels: then the field is given as an `Axis`."""

    @property
    def size(self) -> int:
        """How many pixels a unit sees at most."""
        return max(stop - start for start, stop in zip(self.starts, self.stops, strict=True))

    def first(self, unit: int) -> int:
        """Where a patch of `size` pixels begins that has in it what unit `unit` sees.

        It is negative at the first border, where fewer pixels are seen, and reaches over the last one.
        """
        start, stop = self.starts[unit], self.stops[unit]
        return start if start else stop - self.size

    def middle(self, unit: int) -> float:
        """The middle of the pixels that unit `unit` sees."""
        return (self.starts[unit] + self.stops[unit] - 1) / 2

    def slice(self, unit: int, length: int) -> slice:
        """The pixels of unit `unit` in an image of `length` pixels."""
        return slice(min(self.starts[unit], length), min(self.stops[unit], length))

    def plain(self) -> list[list[int]]:
        """The same as JSON: for each unit the first pixel and the one after the last."""
        return [list(each) for each in zip(self.starts, self.stops, strict=True)]

    def behind(self, taps: Array) -> Spans:
        """What units see that read some of these.

        Args:
            taps: (n, k), for each unit the numbers of those that it reads; less than 0 for none.
        """
        starts, stops = np.array(self.starts), np.array(self.stops)
        read = (taps >= 0) & (starts < stops)[taps]
        first = np.where(read, starts[taps], max(self.stops)).min(axis=1)
        last = np.where(read, stops[taps], 0).max(axis=1)
        seen = read.any(axis=1)
        return Spans(*(tuple(np.where(seen, each, 0).tolist()) for each in (first, last)))

    def with_those_of(self, other: Spans) -> Spans:
        """What units see that see both."""
        count = len(self.starts)
        both = Spans(self.starts + other.starts, self.stops + other.stops)
        return both.behind(np.stack([np.arange(count), np.arange(count) + count], axis=1))


@dataclass(frozen=True)
class Field:
    """The receptive fields of a layer's units, along rows and columns.

    Each is an `Axis` where the units' windows go on in regular steps, its step 0 where each unit sees the whole image, and
    else `Spans`. Both have `size`, the most that a unit sees, and `slice`, what one unit sees.
    """

    rows: Axis | Spans
    columns: Axis | Spans

    @property
    def whole(self) -> bool:
        """Whether every unit sees the whole image."""
        return self.rows.whole and self.columns.whole

    def cut(self, image: Floats, row: int, column: int, gray: Floats) -> Floats:
        """What unit (row, column) sees of an image.

        Args:
            image: (H, W, C).
            row: Of the unit.
            column: Of the unit.
            gray: (C,), what lies beyond what it sees.

        Returns:
            (h, w, C), of one size for all units of the layer: that of the largest of their fields. Where these are larger
            than the image it is the image's, and what the unit sees lies where it does in the image.
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
