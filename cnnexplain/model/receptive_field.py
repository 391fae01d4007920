"""Which pixels a unit of a layer can see: its receptive field, from the layers' kernels, strides, paddings and dilations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from cnnexplain.errors import ModelError
from cnnexplain.model import layer_kinds
from cnnexplain.model.axes import Axis, Field, Spans
from cnnexplain.model.graph import Call, Twin
from cnnexplain.model.layer_kinds import Known
from cnnexplain.model.token_grid import Layout, moved, moves, natural, unstacks
from cnnexplain.model.windows import LOCAL, Window

if TYPE_CHECKING:
    from cnnexplain.types import Array, Integers


__all__ = ["Axis", "Field", "Fields", "Spans"]


@dataclass(frozen=True)
class _Along:
    """What the units see along rows or columns.

    Args:
        axis: The same in regular steps, also beyond the border; None where there are none.
        spans: For each unit.
    """

    axis: Axis | None
    spans: Spans

    def through(self, window: Window | Integers, units: int) -> _Along:
        """What units see that read these through a window, or these places."""
        if not isinstance(window, Window):
            return _Along(None, self.spans.behind(window))
        axis = self.axis
        if axis is not None:
            size = axis.size + (window.span - 1) * axis.step
            axis = Axis(axis.first(-window.pad), axis.step * window.stride, size)
        return _Along(axis, self.spans.behind(window.taps(units, len(self.spans.starts))))

    def sees_all(self, length: int) -> bool:
        """Whether each unit sees all of so many pixels, but for windows that go on in regular steps."""
        return self.axis is None and set(self.spans.starts) == {0} and set(self.spans.stops) == {length}

    def with_those_of(self, other: _Along) -> _Along:
        """What units see that see both."""
        axis = None
        if self.axis is not None and other.axis is not None and self.axis.step == other.axis.step:
            start = min(self.axis.start, other.axis.start)
            axis = Axis(start, self.axis.step, max(each.first(0) + each.size for each in (self.axis, other.axis)) - start)
        return _Along(axis, self.spans.with_those_of(other.spans))


@dataclass(frozen=True)
class _Seen:
    """What the units of feature maps, or of tokens that have a grid, see."""

    rows: _Along
    columns: _Along

    def with_those_of(self, other: _Seen) -> _Seen:
        """What units see that see both."""
        return _Seen(self.rows.with_those_of(other.rows), self.columns.with_those_of(other.columns))


@dataclass(frozen=True, eq=False)
class _Strewn:
    """A tensor whose numbers are those of feature maps that see that, of that width, in another order; see `places.natural`.

    What moved them there is the call that is named where nothing moves them back.
    """

    seen: _Seen
    width: int
    numbers: Array
    call: Call


class Fields:
    """The receptive fields of a model's layers; each layer is looked at once.

    Args:
        twin: The model.
        layout: What the axes of its tensors stand for.
    """

    def __init__(self, twin: Twin, layout: Layout) -> None:
        self._twin, self._layout = twin, layout
        height, width = twin.input.shape[1:3]
        sides = [_Along(Axis(0, 0, length), Spans((0,), (length,))) for length in (height, width)]
        self._whole = _Seen(*sides)
        pixels = [Spans(tuple(range(length)), tuple(range(1, 1 + length))) for length in (height, width)]
        self._seen: dict[int, _Seen | _Strewn] = {id(twin.input): _Seen(*(_Along(Axis(0, 1, 1), each) for each in pixels))}
        self._unknown: dict[int, Call] = {}
        self._done: set[int] = set()

    def of(self, name: str) -> Field:
        """The receptive fields of the units of layer `name`: the pixels outside which nothing changes them.

        Raises:
            ModelError: A layer on the way is none whose geometry is known.
        """
        for call in self._twin.ancestors([name]):
            if id(call) not in self._done:
                self._follow(call)
        tensor = self._twin.tensors[name]
        found = self._seen.get(id(tensor), self._whole)
        # The numbers of whole feature maps are not kept.
        self._seen = {key: each for key, each in self._seen.items() if isinstance(each, _Seen)}
        seen = None if id(tensor) in self._unknown else _plain(tensor, found, self._layout)
        if seen is None:
            cause = found.call if isinstance(found, _Strewn) else self._unknown[id(tensor)]
            kind = type(cause.inner).__name__
            raise ModelError(f"The receptive field of '{name}' is not known past the layer '{cause.name}' ({kind}).")
        if all(map(_Along.sees_all, (seen.rows, seen.columns), self._twin.input.shape[1:3])):
            seen = self._whole
        return Field(seen.rows.axis or seen.rows.spans, seen.columns.axis or seen.columns.spans)

    def _follow(self, call: Call) -> None:
        """Finds what the units of a call's outputs see."""
        outputs = keras.tree.flatten(call.output)
        # What is made of no pixel, such as the positions of tokens, adds none.
        given = {id(source): self._seen[id(source)] for source in call.sources if id(source) in self._seen}
        past = next((self._unknown[id(source)] for source in call.sources if id(source) in self._unknown), None)
        strewn = next((each.call for each in given.values() if isinstance(each, _Strewn)), None)
        found: Sequence[_Seen | _Strewn] | None
        if len(outputs[0].shape) < 3 and (given or past):
            found = [self._whole] * len(outputs)
        else:
            found = _after(call, outputs, given, self._layout, self._whole) if given and past is None else None
        if found is None or all(isinstance(each, _Seen) for each in found):
            self._done.add(id(call))
        if found is not None:
            self._seen |= zip(map(id, outputs), found, strict=True)
        elif given or past:
            self._unknown |= dict.fromkeys(map(id, outputs), past or strewn or call)


def _after(
    call: Call, outputs: list[Any], given: dict[int, _Seen | _Strewn], layout: Layout, whole: _Seen
) -> Sequence[_Seen | _Strewn] | None:
    """What the units of a call's outputs see; None where that isn't known."""
    found, kind, facts = [*given.values()], type(call.inner).__name__, layer_kinds.of(call.inner)
    rank = len(outputs[0].shape)
    if whole in found or kind in ("GlobalAveragePooling2D", "GlobalMaxPooling2D", "GlobalAveragePooling1D"):
        return [whole] * len(outputs)
    # A class of someone else's may have any name.
    if not layer_kinds.is_keras(call.inner):
        return None
    if kind in LOCAL and getattr(call.inner, "data_format", "channels_last") == "channels_last":
        seen = _plain(call.sources[0], found[0], layout)
        shape, made = (tuple(tensor.shape[1:3]) for tensor in (call.sources[0], outputs[0]))
        if seen is not None and rank == 4 and None not in (*shape, *made):
            windows = LOCAL[kind](call.inner, shape, made)
            if windows is None:
                return None
            return [_Seen(seen.rows.through(windows[0], made[0]), seen.columns.through(windows[1], made[1]))]
    # A layer that joins or spreads maps along rows or columns returns maps of another size than it was given.
    sizes = {tuple(tensor.shape[1:-1]) for tensor in (*(each for each in call.sources if id(each) in given), *outputs)}
    if kind == "LayerNormalization" and call.inner.axis not in ([-1], [rank - 1]):
        return [whole]
    if facts & Known.POINTWISE and len(sizes) == len(call.sources) == 1 and isinstance(found[0], _Strewn):
        # Of channels that stand for different places all are seen.
        mixed = _seen(outputs[0], found[0], layout) if facts & Known.MIXES_CHANNELS else found[0]
        return None if mixed is None else [mixed]
    elsewhere = getattr(call.inner, "axis", None) == 0 or any(isinstance(each, _Strewn) for each in found)
    if moves(call) and (not facts & Known.POINTWISE or elsewhere):
        return _moved(call, outputs, given, layout)
    if facts & Known.POINTWISE and rank > 2 and len(sizes) == 1:
        plain = [_plain(source, given[id(source)], layout) for source in call.sources if id(source) in given]
        known = [each for each in plain if each is not None]
        if len(known) == len(plain):
            return [reduce(_Seen.with_those_of, known)]
    if unstacks(call) and rank == 4 and isinstance(found[0], _Strewn) and found[0].numbers.ndim == 5:
        # What is stacked is seen together, as channels are.
        mixed = _seen(outputs[0], replace(found[0], numbers=np.concatenate([*found[0].numbers], axis=-1)), layout)
        return None if mixed is None else [mixed]
    if facts & Known.SEES_ALL_TOKENS and layout.windows.isdisjoint(map(id, call.sources)):
        return [whole] * len(outputs)
    if not moves(call):
        return None
    return _moved(call, outputs, given, layout)


def _moved(
    call: Call, outputs: list[Any], given: dict[int, _Seen | _Strewn], layout: Layout
) -> Sequence[_Seen | _Strewn] | None:
    """What is seen behind a layer that only moves numbers: each number is followed to where it came from."""
    sources = {id(source): source for source in call.sources}
    parts: list[list[_Strewn]] = [[] for _ in outputs]
    for key, seen in given.items():
        strewn = seen if isinstance(seen, _Strewn) else _strewn(call, sources[key], seen, layout)
        for part, numbers in zip(parts, moved(call, {key: strewn.numbers}), strict=True):
            if numbers.any():
                part.append(_Strewn(strewn.seen, strewn.width, numbers, call))
    found: list[_Seen | _Strewn] = []
    for output, part in zip(outputs, parts, strict=True):
        maps = [_seen(output, each, layout) for each in part]
        known = [each for each in maps if each is not None]
        # Each place must be of all of them, and not one of this, the other of that.
        places = [(each.numbers > 0).any(axis=-1) for each in part]
        alike = bool(known) and len(known) == len(part) and all((each == places[0]).all() for each in places)
        joined = reduce(_Seen.with_those_of, known) if alike else None
        # What is in no regular order may be put back into it.
        if joined is not None and joined.rows.axis and joined.columns.axis:
            found.append(joined)
        elif len({(each.seen, each.width) for each in part}) == 1:
            found.append(_Strewn(part[0].seen, part[0].width, np.max([each.numbers for each in part], axis=0), call))
        elif joined is not None:
            found.append(joined)
        else:
            return None
    return found


def _strewn(call: Call, tensor: Any, seen: _Seen, layout: Layout) -> _Strewn:
    """The places that the numbers of feature maps, or of tokens that have a grid, stand for."""
    grid = layout.grids.get(id(tensor))
    if grid is None:
        return _Strewn(seen, tensor.shape[2], natural(tensor), call)
    places = np.arange(1, 1 + len(grid.tokens), dtype=np.float32).reshape(1, grid.rows, grid.columns, 1)
    return _Strewn(seen, grid.columns, grid.spread(np.repeat(places, tensor.shape[-1], axis=-1)), call)


def _plain(tensor: Any, seen: _Seen | _Strewn, layout: Layout) -> _Seen | None:
    """What the units of a tensor see, wherever its numbers come from; None where they are no units of feature maps."""
    return _seen(tensor, seen, layout) if isinstance(seen, _Strewn) else seen


def _seen(tensor: Any, strewn: _Strewn, layout: Layout) -> _Seen | None:
    """What the units of a tensor see; None where it is no feature maps, or rows and columns don't go by themselves."""
    numbers, grid = strewn.numbers, layout.grids.get(id(tensor))
    if grid is not None:
        numbers = grid.maps(numbers)
    if numbers.ndim != 4 or len(numbers) != 1 or id(tensor) in layout.heads:
        return None
    rows, columns = np.divmod(numbers[0].astype(int) - 1, strewn.width)
    known = numbers[0] > 0
    axes = [
        _along(np.moveaxis(each, axis, 0), np.moveaxis(known, axis, 0), before)
        for axis, (each, before) in enumerate(((rows, strewn.seen.rows), (columns, strewn.seen.columns)))
    ]
    return None if axes[0] is None or axes[1] is None else _Seen(axes[0], axes[1])


def _along(places: Array, known: Array, before: _Along) -> _Along | None:
    """What units see of which unit i takes the places (i, …), some of them known, of another axis.

    None where they take others along the other axis too, and don't go in regular steps.
    """
    axis = None if before.axis is None else _regular(places, known, before.axis)
    taps = np.where(known, places, -1)
    # Over the channels: the first and the last that are known.
    first = np.where(known, places, len(before.spans.starts)).min(axis=-1)
    last, some = taps.max(axis=-1), known.any(axis=-1)
    if axis is None:
        for each in (first, last):
            if (each != each.max(axis=1, where=some, initial=-1)[:, None])[some].any():
                return None
    return _Along(axis, before.spans.behind(taps.reshape(len(taps), -1)))


def _regular(places: Array, known: Array, axis: Axis) -> Axis | None:
    """The axis of units of which unit i takes the places (i, …) of another axis; None where it has none."""
    places, known = places.reshape(len(places), -1), known.reshape(len(known), -1)
    units = np.flatnonzero(known.any(axis=1))
    if not len(units):
        return None
    first = np.array([places[unit][known[unit]].min() for unit in units])
    last = np.array([places[unit][known[unit]].max() for unit in units])
    steps = np.unique(np.diff(first) / np.diff(units)) if len(units) > 1 else np.array([1])
    spans = np.unique(last - first)
    if len(steps) != 1 or steps[0] < 1 or steps[0] % 1 or len(spans) != 1 or (np.diff(units) != 1).any():
        return None
    step, span = int(steps[0]), int(spans[0])
    return Axis(axis.start + int(first[0] - units[0] * step) * axis.step, axis.step * step, axis.size + span * axis.step)
