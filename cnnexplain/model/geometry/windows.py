"""Which places of its input a unit reads, along rows and along columns: kernels, strides and methods of resizing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import keras
import numpy as np

from cnnexplain.model.structure import layer_kinds
from cnnexplain.model.structure.inference import run_isolated
from cnnexplain.model.structure.layer_kinds import Trait

if TYPE_CHECKING:
    from jaxtyping import Float, Int64


@dataclass(frozen=True)
class Window:
    """Along one axis, unit i reads the places i · stride − pad + k · rate for 0 ≤ k < size."""

    pad: int
    size: int
    stride: int = 1
    rate: int = 1

    @property
    def span(self) -> int:
        """The number of places from the first to the last that a unit reads."""
        return (self.size - 1) * self.rate + 1

    def taps(self, units: int, places: int) -> Int64[np.ndarray, "units size"]:
        """The places that each unit reads, (units, size); −1 for those outside the input."""
        taps = np.arange(units)[:, None] * self.stride - self.pad + np.arange(self.size) * self.rate
        return np.where((taps >= 0) & (taps < places), taps, -1)


Size: TypeAlias = tuple[int, int]
"""Rows and columns."""

if TYPE_CHECKING:
    Reads: TypeAlias = Window | Int64[np.ndarray, "units taps"]
    """A window, or the places that each unit reads, −1 for none."""

    Windows: TypeAlias = tuple[Reads, Reads]
    """For rows and for columns."""

    WindowFunction: TypeAlias = Callable[[Any, Size, Size], Windows | None]
    """(layer, its input size, its output size) ↦ what its units read; None if that is not known."""


def _kernel(size: str) -> Callable[[Any, Size, Size], Windows]:
    def windows(layer: Any, shape: Size, _: Size) -> Windows:
        sizes, rates = getattr(layer, size), getattr(layer, "dilation_rate", (1, 1))
        # Padding "same" as in TensorFlow: one unit per stride; an odd pixel of padding is at the end.
        rows, columns = (
            Window(
                max((-(-length // stride) - 1) * stride + (kernel - 1) * rate + 1 - length, 0) // 2
                if layer.padding == "same"
                else 0,
                kernel,
                stride,
                rate,
            )
            for length, stride, kernel, rate in zip(shape, layer.strides, sizes, rates, strict=True)
        )
        return rows, columns

    return windows


def _patches(operation: Any, _shape: Size, _output: Size) -> Windows | None:
    """The windows of `keras.ops.image.extract_patches`."""
    (height, width), strides = (_pair(each) for each in (operation.size, operation.strides or operation.size))
    if operation.padding != "valid" or operation.dilation_rate not in (1, (1, 1)):
        return None
    return Window(0, height, strides[0]), Window(0, width, strides[1])


def _pair(each: Any) -> Size:
    return (each, each) if isinstance(each, int) else (each[0], each[1])


def _resized(layer: Any, shape: Size, output: Size) -> Windows | None:
    """The pixels that the interpolation reads, in the part of the image that the layer resizes."""
    interpolation, antialias = layer.interpolation, bool(getattr(layer, "antialias", False))
    if interpolation not in RADIUS:
        return None
    reads: list[Reads] = []
    for (start, length), old, new in zip(_parts(layer, shape, output), shape, output, strict=True):
        if interpolation == "bilinear" and not antialias and length == old and length % new == 0:
            # Reduced by a whole factor: the pixel in the middle, or the two around the middle.
            step = length // new
            reads.append(Window(-((step - 1) // 2), 1 + (step % 2 == 0), step))
            continue
        taps = nearest(length, new) if interpolation == "nearest" else interpolated(length, new, interpolation, antialias)
        # Pixels outside the image are padding.
        taps = np.where((taps >= 0) & (taps + start >= 0) & (taps + start < old), taps + start, -1)
        reads.append(_as_window(taps) if interpolation == "nearest" or (start, length) == (0, new) else taps)
    return reads[0], reads[1]


def _as_window(taps: Int64[np.ndarray, "units taps"]) -> Reads:
    """The window of units that each read a single place in regular steps; other taps unchanged."""
    steps = np.unique(np.diff(taps[:, 0])) if len(taps) > 1 else np.ones(1, np.int64)
    if taps.shape[1] > 1 or (taps < 0).any() or len(steps) > 1 or steps[0] < 1:
        return taps
    return Window(-int(taps[0, 0]), 1, int(steps[0]))


def _parts(layer: Any, shape: Size, output: Size) -> list[tuple[int, int]]:
    """For rows and columns, the first that is resized, negative if the image is padded before, and their number."""
    # For each side, the length at which the image has the aspect ratio of the output.
    fitting = [max(shape[1] * output[0] // output[1], 1), max(shape[0] * output[1] // output[0], 1)]
    if getattr(layer, "crop_to_aspect_ratio", False):
        kept = [min(fit, length) for fit, length in zip(fitting, shape, strict=True)]
        return [((length - each) // 2, each) for each, length in zip(kept, shape, strict=True)]
    if getattr(layer, "pad_to_aspect_ratio", False):
        pads = [max(fit - length, 0) // 2 for fit, length in zip(fitting, shape, strict=True)]
        return [(-pad, length + 2 * pad) for pad, length in zip(pads, shape, strict=True)]
    return [(0, length) for length in shape]


RADIUS = {"nearest": 0, "bilinear": 1, "bicubic": 2, "lanczos3": 3, "lanczos5": 5}
"""How many pixels an interpolation reads on each side; with antialiasing, pixels of the coarser of the two grids."""


def interpolated(length: int, new: int, interpolation: str, antialias: bool) -> Int64[np.ndarray, "{new} taps"]:
    """The pixels that an interpolation reads along an axis resized from `length` to `new` pixels: (new, k), −1 for none.

    Unit i lies at (i + ½) · length / new − ½, and reads the pixels closer to it than the radius of the kernel. Everything is
    counted in units of 1 / (2 · new) of a pixel, so that all numbers are integers.
    """
    pixel = 2 * new
    scale = max(pixel, 2 * length) if antialias else pixel
    reach = RADIUS[interpolation] * scale
    center = (2 * np.arange(new) + 1) * length - new
    first, last = (center - reach) // pixel + 1, -(-(center + reach) // pixel) - 1
    taps = first[:, None] + np.arange((last - first).max() + 1)
    away = np.abs(taps * pixel - center[:, None])
    # The kernels are zero at whole distances.
    zero = (away % scale == 0) & (away > 0)
    read = (taps <= last[:, None]) & (taps >= 0) & (taps < length) & ~zero
    # Drop columns that no unit needs.
    return -np.sort(-np.where(read, taps, -1), axis=1)[:, : read.sum(axis=1).max()]


def nearest(length: int, new: int) -> Int64[np.ndarray, "{new} 1"]:
    """The pixel that is read along an axis resized from `length` to `new` pixels, (new, 1).

    If two are equally near, the choice depends on how the backend rounds, so the backend computes it.
    """

    def resized() -> Float[np.ndarray, "1 new 1 1"]:
        places = keras.ops.reshape(keras.ops.arange(length, dtype="float32"), (1, length, 1, 1))
        result = keras.ops.image.resize(places, (new, 1), interpolation="nearest", data_format="channels_last")
        return np.asarray(keras.ops.convert_to_numpy(result))

    return np.asarray(run_isolated(resized).reshape(new, 1), np.int64)


WINDOWS: dict[Trait, WindowFunction] = {
    Trait.KERNEL_WINDOW: _kernel("kernel_size"),
    Trait.POOL_WINDOW: _kernel("pool_size"),
    Trait.PATCH_WINDOW: _patches,
    Trait.RESIZES: _resized,
    Trait.PADS: lambda layer, *_: (Window(layer.padding[0][0], 1), Window(layer.padding[1][0], 1)),
    Trait.CROPS: lambda layer, *_: (Window(-layer.cropping[0][0], 1), Window(-layer.cropping[1][0], 1)),
}
"""How to read the windows of a layer from its attributes, by trait."""


def window_function(layer: object) -> WindowFunction | None:
    """The function that returns the windows of a layer; None for layers whose units do not read a window."""
    traits = layer_kinds.of(layer)
    return next((function for trait, function in WINDOWS.items() if traits & trait), None)
