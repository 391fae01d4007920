"""Which pixels a unit of a layer can see: its receptive field, from the layers' kernels, strides, paddings and dilations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from cnnexplain.errors import ModelError
from cnnexplain.model.geometry.axes import Axis, Field, Spans
from cnnexplain.model.geometry.token_grid import Layout
from cnnexplain.model.geometry.windows import Window, window_function
from cnnexplain.model.structure import layer_kinds
from cnnexplain.model.structure.graph import Call, Graph
from cnnexplain.model.structure.layer_kinds import Trait
from cnnexplain.model.structure.rearrangements import evaluated, only_moves, place_numbers, unstacks

if TYPE_CHECKING:
    from jaxtyping import Bool, Int, Shaped

    from cnnexplain.model.geometry.windows import Reads


@dataclass(frozen=True)
class _Side:
    """The pixels that units see along rows or columns.

    Args:
        axis: In regular steps, also outside the image; None if there are none.
        spans: For each unit.
    """

    axis: Axis | None
    spans: Spans

    def through(self, reads: Reads, units: int) -> _Side:
        """The pixels that units see if they read these units through a window, or at these places."""
        if not isinstance(reads, Window):
            return _Side(None, self.spans.through(reads))
        axis = self.axis
        if axis is not None:
            size = axis.size + (reads.span - 1) * axis.step
            axis = Axis(axis.first(-reads.pad), axis.step * reads.stride, size)
        return _Side(axis, self.spans.through(reads.taps(units, len(self.spans.starts))))

    def sees_all(self, length: int) -> bool:
        """Whether each unit sees all of `length` pixels, for units without regular steps."""
        return self.axis is None and set(self.spans.starts) == {0} and set(self.spans.stops) == {length}

    def union(self, other: _Side) -> _Side:
        """The pixels that units see if they read the same unit of both."""
        axis = None
        if self.axis is not None and other.axis is not None and self.axis.step == other.axis.step:
            start = min(self.axis.start, other.axis.start)
            axis = Axis(start, self.axis.step, max(each.first(0) + each.size for each in (self.axis, other.axis)) - start)
        return _Side(axis, self.spans.union(other.spans))


@dataclass(frozen=True)
class _View:
    """The pixels that the units of feature maps, or of tokens that have a grid, see."""

    rows: _Side
    columns: _Side

    def union(self, other: _View) -> _View:
        """The pixels that units see if they read the same unit of both."""
        return _View(self.rows.union(other.rows), self.columns.union(other.columns))


@dataclass(frozen=True, eq=False)
class _Scattered:
    """A tensor with the values of feature maps in another order.

    Args:
        view: The pixels that the units of the feature maps see.
        width: The number of columns of the feature maps.
        numbers: The place of each value; see `place_numbers`.
        call: The call that moved the values, for an error if nothing moves them back.
    """

    view: _View
    width: int
    numbers: Shaped[np.ndarray, " ..."]
    call: Call


class Fields:
    """The receptive fields of a model's layers; each layer is examined once.

    Args:
        graph: The model.
        layout: What the axes of its tensors represent.
    """

    def __init__(self, graph: Graph, layout: Layout) -> None:
        self._graph, self._layout = graph, layout
        height, width = graph.input.shape[1:3]
        self._whole = _View(*(_Side(Axis(0, 0, length), Spans((0,), (length,))) for length in (height, width)))
        pixels = [Spans(tuple(range(length)), tuple(range(1, 1 + length))) for length in (height, width)]
        self._views: dict[int, _View | _Scattered] = {
            id(graph.input): _View(*(_Side(Axis(0, 1, 1), each) for each in pixels))
        }
        self._unknown: dict[int, Call] = {}
        self._done: set[int] = set()
        self._fields: dict[str, Field] = {}

    def of(self, name: str) -> Field:
        """The receptive fields of the units of a layer: changing other pixels never changes the unit.

        Raises:
            ModelError: The geometry of a layer between the input and this layer is not known.
        """
        if name not in self._fields:
            self._fields[name] = self._field(name)
        return self._fields[name]

    def _field(self, name: str) -> Field:
        for call in self._graph.ancestors([name]):
            if id(call) not in self._done:
                self._follow(call)
        tensor = self._graph.tensors[name]
        final = self._views.get(id(tensor), self._whole)
        # The place numbers of whole feature maps take too much memory to keep.
        self._views = {key: each for key, each in self._views.items() if isinstance(each, _View)}
        view = None if id(tensor) in self._unknown else _as_view(tensor, final, self._layout)
        if view is None:
            cause = final.call if isinstance(final, _Scattered) else self._unknown[id(tensor)]
            kind = type(cause.inner).__name__
            raise ModelError(f"The receptive field of '{name}' is not known past the layer '{cause.name}' ({kind}).")
        if all(map(_Side.sees_all, (view.rows, view.columns), self._graph.input.shape[1:3])):
            view = self._whole
        return Field(view.rows.axis or view.rows.spans, view.columns.axis or view.columns.spans)

    def _follow(self, call: Call) -> None:
        """Determines the pixels that the units of a call's outputs see."""
        outputs = keras.tree.flatten(call.output)
        # Sources that depend on no pixel, such as the positions of tokens, do not matter.
        given = {id(source): self._views[id(source)] for source in call.sources if id(source) in self._views}
        unknown = next((self._unknown[id(source)] for source in call.sources if id(source) in self._unknown), None)
        scattered_by = next((each.call for each in given.values() if isinstance(each, _Scattered)), None)
        views: Sequence[_View | _Scattered] | None
        if len(outputs[0].shape) < 3 and (given or unknown):
            views = [self._whole] * len(outputs)
        else:
            views = _output_views(call, outputs, given, self._layout, self._whole) if given and unknown is None else None
        if views is None or all(isinstance(each, _View) for each in views):
            self._done.add(id(call))
        if views is not None:
            self._views |= zip(map(id, outputs), views, strict=True)
        elif given or unknown:
            self._unknown |= dict.fromkeys(map(id, outputs), unknown or scattered_by or call)


def _output_views(
    call: Call, outputs: list[Any], given: dict[int, _View | _Scattered], layout: Layout, whole: _View
) -> Sequence[_View | _Scattered] | None:
    """The pixels that the units of a call's outputs see; None if they are not known."""
    views, traits = [*given.values()], layer_kinds.of(call.inner)
    rank = len(outputs[0].shape)
    if whole in views or traits & Trait.SEES_ALL_PLACES:
        return [whole] * len(outputs)
    # Classes that are not Keras' own may have any name.
    if not layer_kinds.is_keras(call.inner):
        return None
    windows = window_function(call.inner)
    if windows is not None and getattr(call.inner, "data_format", "channels_last") == "channels_last":
        view = _as_view(call.sources[0], views[0], layout)
        shape, output_shape = (tuple(tensor.shape[1:3]) for tensor in (call.sources[0], outputs[0]))
        if view is not None and rank == 4 and None not in (*shape, *output_shape):
            reads = windows(call.inner, shape, output_shape)
            if reads is None:
                return None
            return [_View(view.rows.through(reads[0], output_shape[0]), view.columns.through(reads[1], output_shape[1]))]
    # A layer that joins or spreads maps along rows or columns returns maps of another size.
    sizes = {tuple(tensor.shape[1:-1]) for tensor in (*(each for each in call.sources if id(each) in given), *outputs)}
    if type(call.inner).__name__ == "LayerNormalization" and call.inner.axis not in ([-1], [rank - 1]):
        return [whole]
    if traits & Trait.POINTWISE and len(sizes) == len(call.sources) == 1 and isinstance(views[0], _Scattered):
        # If the channels represent different places, a layer that mixes them sees all of these.
        mixed = _gathered(outputs[0], views[0], layout) if traits & Trait.MIXES_CHANNELS else views[0]
        return None if mixed is None else [mixed]
    other_axes = getattr(call.inner, "axis", None) == 0 or any(isinstance(each, _Scattered) for each in views)
    if only_moves(call) and (not traits & Trait.POINTWISE or other_axes):
        return _moved(call, outputs, given, layout)
    if traits & Trait.POINTWISE and rank > 2 and len(sizes) == 1:
        plain = [_as_view(source, given[id(source)], layout) for source in call.sources if id(source) in given]
        known = [each for each in plain if each is not None]
        if len(known) == len(plain):
            return [reduce(_View.union, known)]
    if unstacks(call) and rank == 4 and isinstance(views[0], _Scattered) and views[0].numbers.ndim == 5:
        # Stacked maps are seen together, like channels.
        stacked = replace(views[0], numbers=np.concatenate([*views[0].numbers], axis=-1))
        mixed = _gathered(outputs[0], stacked, layout)
        return None if mixed is None else [mixed]
    if traits & Trait.SEES_ALL_TOKENS and layout.windows.isdisjoint(map(id, call.sources)):
        return [whole] * len(outputs)
    if not only_moves(call):
        return None
    return _moved(call, outputs, given, layout)


def _moved(
    call: Call, outputs: list[Any], given: dict[int, _View | _Scattered], layout: Layout
) -> Sequence[_View | _Scattered] | None:
    """The pixels that the units of a layer that only moves values see: each value is traced to the place it came from."""
    sources = {id(source): source for source in call.sources}
    parts: list[list[_Scattered]] = [[] for _ in outputs]
    for key, each in given.items():
        scattered = each if isinstance(each, _Scattered) else _scattered(call, sources[key], each, layout)
        for part, numbers in zip(parts, evaluated(call, {key: scattered.numbers}), strict=True):
            if numbers.any():
                part.append(_Scattered(scattered.view, scattered.width, numbers, call))
    views: list[_View | _Scattered] = []
    for output, part in zip(outputs, parts, strict=True):
        gathered = [_gathered(output, each, layout) for each in part]
        known = [each for each in gathered if each is not None]
        # Each place must come from all sources, not some places from one source and some from another.
        places = [(each.numbers > 0).any(axis=-1) for each in part]
        alike = bool(known) and len(known) == len(part) and all((each == places[0]).all() for each in places)
        joined = reduce(_View.union, known) if alike else None
        # A later layer may restore the order of places that are in no regular order now.
        if joined is not None and joined.rows.axis and joined.columns.axis:
            views.append(joined)
        elif len({(each.view, each.width) for each in part}) == 1:
            views.append(_Scattered(part[0].view, part[0].width, np.max([each.numbers for each in part], axis=0), call))
        elif joined is not None:
            views.append(joined)
        else:
            return None
    return views


def _scattered(call: Call, tensor: Any, view: _View, layout: Layout) -> _Scattered:
    """The places that the values of feature maps, or of tokens that have a grid, represent."""
    grid = layout.grids.get(id(tensor))
    if grid is None:
        return _Scattered(view, tensor.shape[2], place_numbers(tensor), call)
    places = np.arange(1, 1 + len(grid.tokens), dtype=np.float32).reshape(1, grid.rows, grid.columns, 1)
    return _Scattered(view, grid.columns, grid.spread(np.repeat(places, tensor.shape[-1], axis=-1)), call)


def _as_view(tensor: Any, view: _View | _Scattered, layout: Layout) -> _View | None:
    """The pixels that the units of a tensor see; None if it has no units of feature maps."""
    return _gathered(tensor, view, layout) if isinstance(view, _Scattered) else view


def _gathered(tensor: Any, scattered: _Scattered, layout: Layout) -> _View | None:
    """The pixels that the units of a tensor see; None unless it is feature maps with independent rows and columns."""
    numbers, grid = scattered.numbers, layout.grids.get(id(tensor))
    if grid is not None:
        numbers = grid.maps(numbers)
    if numbers.ndim != 4 or len(numbers) != 1 or id(tensor) in layout.heads:
        return None
    rows, columns = np.divmod(numbers[0].astype(int) - 1, scattered.width)
    known = numbers[0] > 0
    sides = [
        _side(np.moveaxis(each, axis, 0), np.moveaxis(known, axis, 0), side)
        for axis, (each, side) in enumerate(((rows, scattered.view.rows), (columns, scattered.view.columns)))
    ]
    return None if sides[0] is None or sides[1] is None else _View(sides[0], sides[1])


def _side(places: Int[np.ndarray, "units n C"], known: Bool[np.ndarray, "units n C"], source: _Side) -> _Side | None:
    """The pixels that units see if unit i has the values of the places (i, …) of another side, where these are known.

    None if the places differ along the other side, and have no regular steps.
    """
    axis = None if source.axis is None else _regular(places, known, source.axis)
    taps = np.where(known, places, -1)
    # Over the channels: the first and the last known place.
    first = np.where(known, places, len(source.spans.starts)).min(axis=-1)
    last, some = taps.max(axis=-1), known.any(axis=-1)
    if axis is None:
        for each in (first, last):
            if (each != each.max(axis=1, where=some, initial=-1)[:, None])[some].any():
                return None
    return _Side(axis, source.spans.through(taps.reshape(len(taps), -1)))


def _regular(places: Int[np.ndarray, "units n C"], known: Bool[np.ndarray, "units n C"], axis: Axis) -> Axis | None:
    """The axis of units if unit i has the values of the places (i, …) of another axis; None if it is not regular."""
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
