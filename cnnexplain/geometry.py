"""Which pixels a unit of a layer can see: its receptive field, from the layers' kernels, strides, paddings and dilations."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from cnnexplain.activations import KINDS
from cnnexplain.errors import ModelError
from cnnexplain.twin import IDLE, Twin

if TYPE_CHECKING:
    from cnnexplain.arrays import Floats


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


def receptive_field(twin: Twin, name: str) -> Field:
    """The receptive fields of the units of layer `name`: the pixels outside which nothing changes them.

    Raises:
        ModelError: A layer on the way is none whose geometry is known.
    """
    height, width = twin.input.shape[1:3]
    whole = Field(Axis(0, 0, height), Axis(0, 0, width))
    fields = {id(twin.input): Field(Axis(0, 1, 1), Axis(0, 1, 1))}
    for call in twin.ancestors([name]):
        # What is made of a model's fixed inputs alone sees no pixel.
        sources = [source for source in call.sources if id(source) in fields]
        found = [fields[id(source)] for source in sources]
        if not found:
            continue
        kind, outputs = type(call.inner).__name__, keras.tree.flatten(call.output)
        # A layer that joins or spreads maps along rows or columns puts out maps of another size than it was given.
        sizes = {tensor.shape[1:3] for tensor in (*sources, *outputs)}
        if len(outputs[0].shape) < 4 or whole in found or kind in ("GlobalAveragePooling2D", "GlobalMaxPooling2D"):
            field = whole
        elif kind in LOCAL and getattr(call.inner, "data_format", "channels_last") == "channels_last":
            field = _seen(LOCAL[kind](call.inner, sources[0].shape[1:3]), found[0])
        elif kind == "LayerNormalization" and call.inner.axis not in ([-1], [3]):
            field = whole
        elif kind in POINTWISE and len(sizes) == 1 and len({(each.rows.step, each.columns.step) for each in found}) == 1:
            field = Field(_union([field.rows for field in found]), _union([field.columns for field in found]))
        else:
            raise ModelError(f"The receptive field of '{name}' is not known past the layer '{call.name}' ({kind}).")
        fields |= {id(output): field for output in outputs}
    return fields[id(twin.tensors[name])]


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


LOCAL: dict[str, Callable[[Any, tuple[int, int]], tuple[Window, Window]]] = {
    **{kind: _kernel("kernel_size") for kind in ("Conv2D", "DepthwiseConv2D", "SeparableConv2D")},
    **{kind: _kernel("pool_size") for kind in ("MaxPooling2D", "AveragePooling2D")},
    "ZeroPadding2D": lambda layer, _: ((layer.padding[0][0], 1, 1), (layer.padding[1][0], 1, 1)),
    "Cropping2D": lambda layer, _: ((-layer.cropping[0][0], 1, 1), (-layer.cropping[1][0], 1, 1)),
}
"""Layers whose units see a window of the layer before, each with what gives that window."""

POINTWISE = (
    *("Add", "Average", "Concatenate", "Maximum", "Minimum", "Multiply", "Subtract"),
    *("BatchNormalization", "LayerNormalization", "LayerScale", "Normalization", "Rescaling"),
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
