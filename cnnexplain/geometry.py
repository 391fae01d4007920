"""Which pixels a unit of a layer can see: its receptive field, from the layers' kernels, strides, paddings and dilations."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from cnnexplain.activations import KINDS
from cnnexplain.errors import ModelError
from cnnexplain.places import RESIZING, Layout, moved, moves, natural
from cnnexplain.twin import IDLE, Call, Twin

if TYPE_CHECKING:
    from cnnexplain.arrays import Array, Floats


@dataclass(frozen=True)
class Axis:
    """Along rows or columns, unit i sees the pixels from start + i · step up to, not including, start + i · step + size."""

    start: int
    step: int
    size: int

    def slice(self, unit: int, length: int) -> slice:
        """The pixels of unit `unit` that lie in an image of that many pixels."""
        first = self.start + unit * self.step
        return slice(min(max(first, 0), length), min(max(first + self.size, 0), length))


@dataclass(frozen=True)
class Field:
    """The receptive fields of a layer's units, along rows and columns; step 0 where each sees the whole image."""

    rows: Axis
    columns: Axis

    def cut(self, image: Floats, row: int, column: int, grey: Floats) -> Floats:
        """What unit (row, column) sees of an image.

        Args:
            image: (H, W, C).
            row: Of the unit.
            column: Of the unit.
            grey: (C,), what lies beyond what it sees.

        Returns:
            (h, w, C), of one size for all units of the layer: that of their fields. Where these are larger than the image
            it is the image's, and what the unit sees lies where it does in the image.
        """
        size, inside, where = [], [], []
        for axis, unit, length in zip((self.rows, self.columns), (row, column), image.shape[:2], strict=True):
            pixels = axis.slice(unit, length)
            first = axis.start + unit * axis.step if axis.size <= length else 0
            size.append(min(axis.size, length))
            inside.append(pixels)
            where.append(slice(pixels.start - first, pixels.stop - first))
        patch = np.broadcast_to(grey, (*size, image.shape[-1])).astype(np.float32)
        patch[tuple(where)] = image[tuple(inside)]
        return patch


@dataclass(frozen=True, eq=False)
class _Strewn:
    """A tensor whose numbers are those of feature maps, of that field and width, in another order; see `places.natural`.

    What moved them there is the call that is named where nothing moves them back.
    """

    field: Field
    width: int
    numbers: Array
    call: Call


def receptive_field(twin: Twin, layout: Layout, name: str) -> Field:
    """The receptive fields of the units of layer `name`: the pixels outside which nothing changes them.

    Raises:
        ModelError: A layer on the way is none whose geometry is known.
    """
    height, width = twin.input.shape[1:3]
    whole = Field(Axis(0, 0, height), Axis(0, 0, width))
    fields: dict[int, Field | _Strewn] = {id(twin.input): Field(Axis(0, 1, 1), Axis(0, 1, 1))}
    unknown: dict[int, Call] = {}
    for call in twin.ancestors([name]):
        outputs = keras.tree.flatten(call.output)
        # What is made of no pixel, such as the positions of tokens, adds none.
        given = {id(source): fields[id(source)] for source in call.sources if id(source) in fields}
        past = next((unknown[id(source)] for source in call.sources if id(source) in unknown), None)
        strewn = next((each.call for each in given.values() if isinstance(each, _Strewn)), None)
        found: Sequence[Field | _Strewn] | None
        if len(outputs[0].shape) < 3 and (given or past):
            found = [whole] * len(outputs)
        else:
            found = _after(call, outputs, given, layout, whole) if given and past is None else None
        if found is not None:
            fields |= zip(map(id, outputs), found, strict=True)
        elif given or past:
            unknown |= dict.fromkeys(map(id, outputs), past or strewn or call)
    end = id(twin.tensors[name])
    field = fields.get(end, whole)
    if isinstance(field, _Strewn) or end in unknown:
        cause = field.call if isinstance(field, _Strewn) else unknown[end]
        kind = type(cause.inner).__name__
        raise ModelError(f"The receptive field of '{name}' is not known past the layer '{cause.name}' ({kind}).")
    return field


def _after(
    call: Call, outputs: list[Any], given: dict[int, Field | _Strewn], layout: Layout, whole: Field
) -> Sequence[Field | _Strewn] | None:
    """What the units of a call's outputs see; None where that isn't known."""
    found, kind = [*given.values()], type(call.inner).__name__
    rank = len(outputs[0].shape)
    if whole in found or kind in ("GlobalAveragePooling2D", "GlobalMaxPooling2D", "GlobalAveragePooling1D"):
        return [whole] * len(outputs)
    # A class of someone else's may have any name.
    if type(call.inner).__module__.partition(".")[0] != "keras":
        return None
    if (
        kind in LOCAL
        and not (kind in RESIZING and moves(call))
        and getattr(call.inner, "data_format", "channels_last") == "channels_last"
    ):
        (field,) = found
        if isinstance(field, Field) and rank == 4:
            windows = LOCAL[kind](call.inner, call.sources[0].shape[1:3])
            return None if windows is None else [_seen(windows, field)]
    # A layer that joins or spreads maps along rows or columns puts out maps of another size than it was given.
    sizes = {tuple(tensor.shape[1:-1]) for tensor in (*(each for each in call.sources if id(each) in given), *outputs)}
    if kind == "LayerNormalization" and call.inner.axis not in ([-1], [rank - 1]):
        return [whole]
    fields = [each for each in found if isinstance(each, Field)]
    if kind in POINTWISE and rank > 2 and len(sizes) == 1 and len(fields) == len(found):
        joined = _joined(fields)
        if joined is not None:
            return [joined]
    if kind in POINTWISE and len(sizes) == len(call.sources) == 1 and isinstance(found[0], _Strewn):
        # Of channels that stand for different places all are seen.
        seen = _field(outputs[0], found[0], layout) if kind in MIXING else found[0]
        return None if seen is None else [seen]
    if kind in ATTENTION and layout.windows.isdisjoint(map(id, call.sources)):
        return [whole] * len(outputs)
    if not moves(call):
        return None
    return _moved(call, outputs, given, layout)


def _joined(fields: Sequence[Field]) -> Field | None:
    """What several see together; None where they don't go over the image in the same steps."""
    if len({(each.rows.step, each.columns.step) for each in fields}) > 1:
        return None
    return Field(_union([field.rows for field in fields]), _union([field.columns for field in fields]))


def _moved(
    call: Call, outputs: list[Any], given: dict[int, Field | _Strewn], layout: Layout
) -> Sequence[Field | _Strewn] | None:
    """What is seen behind a layer that only moves numbers: each number is followed to where it came from."""
    sources = {id(source): source for source in call.sources}
    parts: list[list[_Strewn]] = [[] for _ in outputs]
    for key, field in given.items():
        strewn = field if isinstance(field, _Strewn) else _strewn(call, sources[key], field, layout)
        for part, numbers in zip(parts, moved(call, {key: strewn.numbers}), strict=True):
            if numbers.any():
                part.append(_Strewn(strewn.field, strewn.width, numbers, call))
    found: list[Field | _Strewn] = []
    for output, part in zip(outputs, parts, strict=True):
        fields = [_field(output, each, layout) for each in part]
        known = [each for each in fields if each is not None]
        # Each place must be of all of them, and not one of this, the other of that.
        places = [(each.numbers > 0).any(axis=-1) for each in part]
        alike = bool(known) and len(known) == len(part) and all((each == places[0]).all() for each in places)
        joined = _joined(known) if alike else None
        if joined is not None:
            found.append(joined)
        elif len({(each.field, each.width) for each in part}) == 1:
            found.append(_Strewn(part[0].field, part[0].width, np.max([each.numbers for each in part], axis=0), call))
        else:
            return None
    return found


def _strewn(call: Call, tensor: Any, field: Field, layout: Layout) -> _Strewn:
    """The places that the numbers of feature maps, or of tokens that have a grid, stand for."""
    grid = layout.grids.get(id(tensor))
    if grid is None:
        return _Strewn(field, tensor.shape[2], natural(tensor), call)
    places = np.arange(1, 1 + len(grid.tokens), dtype=np.float32).reshape(1, grid.rows, grid.columns, 1)
    return _Strewn(field, grid.columns, grid.spread(np.repeat(places, tensor.shape[-1], axis=-1)), call)


def _field(tensor: Any, strewn: _Strewn, layout: Layout) -> Field | None:
    """What the units of a tensor see whose places go over those of the field in regular steps; None where they don't."""
    numbers, grid = strewn.numbers, layout.grids.get(id(tensor))
    if grid is not None:
        numbers = grid.maps(numbers)
    if numbers.ndim != 4 or len(numbers) != 1 or id(tensor) in layout.heads:
        return None
    rows, columns = np.divmod(numbers[0].astype(int) - 1, strewn.width)
    known = numbers[0] > 0
    axes = [
        _regular(np.moveaxis(each, axis, 0), np.moveaxis(known, axis, 0), before)
        for axis, (each, before) in enumerate(((rows, strewn.field.rows), (columns, strewn.field.columns)))
    ]
    return None if axes[0] is None or axes[1] is None else Field(axes[0], axes[1])


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


Window = tuple[int, int, int]
"""Along one axis: pixels of padding before the first, kernel size with its dilation, stride."""


def _kernel(size: str) -> Callable[[Any, tuple[int, int]], tuple[Window, Window]]:
    def windows(layer: Any, shape: tuple[int, int]) -> tuple[Window, Window]:
        dilation = getattr(layer, "dilation_rate", (1, 1))
        spans = [(kernel - 1) * rate + 1 for kernel, rate in zip(getattr(layer, size), dilation, strict=True)]
        # What TensorFlow calls "same": as many units as strides fit, the odd pixel of padding behind.
        pads = [
            max((-(-length // stride) - 1) * stride + span - length, 0) // 2 if layer.padding == "same" else 0
            for length, stride, span in zip(shape, layer.strides, spans, strict=True)
        ]
        rows, columns = zip(pads, spans, layer.strides, strict=True)
        return rows, columns

    return windows


def _patches(operation: Any, _: tuple[int, int]) -> tuple[Window, Window] | None:
    """The windows of `keras.ops.image.extract_patches`."""
    (height, width), strides = (_pair(each) for each in (operation.size, operation.strides or operation.size))
    if operation.padding != "valid" or operation.dilation_rate not in (1, (1, 1)):
        return None
    return (0, height, strides[0]), (0, width, strides[1])


def _pair(each: Any) -> tuple[int, int]:
    return (each, each) if isinstance(each, int) else (each[0], each[1])


def _resized(layer: Any, shape: tuple[int, int]) -> tuple[Window, Window] | None:
    """The windows of a bilinear resizing to a whole fraction of the size, not smoothed: the pixels next to the middle."""
    plain = layer.interpolation == "bilinear" and not (layer.crop_to_aspect_ratio or layer.pad_to_aspect_ratio)
    sizes = (layer.height, layer.width) if hasattr(layer, "height") else layer.size
    if not plain or getattr(layer, "antialias", False) or any(old % new for old, new in zip(shape, sizes, strict=True)):
        return None
    steps = [old // new for old, new in zip(shape, sizes, strict=True)]
    rows, columns = ((-((step - 1) // 2), 1 + (step % 2 == 0), step) for step in steps)
    return rows, columns


LOCAL: dict[str, Callable[[Any, tuple[int, int]], tuple[Window, Window] | None]] = {
    **{kind: _kernel("kernel_size") for kind in ("Conv2D", "DepthwiseConv2D", "SeparableConv2D")},
    **{kind: _kernel("pool_size") for kind in ("MaxPooling2D", "AveragePooling2D")},
    "ExtractPatches": _patches,
    **dict.fromkeys(("Resize", "Resizing"), _resized),
    "ZeroPadding2D": lambda layer, _: ((layer.padding[0][0], 1, 1), (layer.padding[1][0], 1, 1)),
    "Cropping2D": lambda layer, _: ((-layer.cropping[0][0], 1, 1), (-layer.cropping[1][0], 1, 1)),
}
"""Layers whose units see a window of the layer before, each with what gives that window, or None where it isn't known."""

MIXING = ("Dense", "LayerNormalization", "RMSNormalization")
"""Layers of which each number is made of all the channels."""

ATTENTION = ("Attention", "AdditiveAttention", "GroupedQueryAttention", "MultiHeadAttention", "GlobalMaxPooling1D")
"""Layers of which each token sees all tokens."""

POINTWISE = (
    *("Add", "Average", "Concatenate", "Maximum", "Minimum", "Multiply", "Subtract"),
    *("BatchNormalization", "LayerNormalization", "LayerScale", "Normalization", "RMSNormalization", "Rescaling"),
    *("Dense", "Divide", "Negative", "TrueDivide"),
    *KINDS,
    *IDLE,
)
"""Layers, and operations such as `x + y`, whose units see the same place of what they are given."""


def _seen(windows: tuple[Window, Window], before: Field) -> Field:
    return Field(_through(windows[0], before.rows), _through(windows[1], before.columns))


def _through(window: Window, axis: Axis) -> Axis:
    pad, span, stride = window
    return Axis(axis.start - pad * axis.step, axis.step * stride, axis.size + (span - 1) * axis.step)


def _union(axes: list[Axis]) -> Axis:
    start = min(axis.start for axis in axes)
    return Axis(start, axes[0].step, max(map(operator.add, (a.start for a in axes), (a.size for a in axes))) - start)
