"""Which places of the layer before a unit reads, along rows and along columns: kernels, strides, and ways to resize."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import keras
import numpy as np

from cnnexplain.model.inference import aside
from cnnexplain.types import Array, Integers


@dataclass(frozen=True)
class Window:
    """Along one axis, unit i reads the places i · stride − pad + k · rate for k from 0 on, k < size."""

    pad: int
    size: int
    stride: int = 1
    rate: int = 1

    @property
    def span(self) -> int:
        """How many places there are from the first that a unit reads to the last."""
        return (self.size - 1) * self.rate + 1

    def taps(self, units: int, places: int) -> Integers:
        """What each unit reads: (units, size), −1 for what lies beyond the places."""
        taps = np.arange(units)[:, None] * self.stride - self.pad + np.arange(self.size) * self.rate
        return np.where((taps >= 0) & (taps < places), taps, -1)


Sides: TypeAlias = tuple[int, int]
"""Rows and columns."""

Windows: TypeAlias = tuple[Window | Integers, Window | Integers]
"""Of rows and of columns: a window, or the places that each unit reads, (units, k), −1 for none."""


def _kernel(size: str) -> Callable[[Any, Sides, Sides], Windows]:
    def windows(layer: Any, shape: Sides, _: Sides) -> Windows:
        sizes, rates = getattr(layer, size), getattr(layer, "dilation_rate", (1, 1))
        # What TensorFlow calls "same": as many units as strides fit, the odd pixel of padding behind.
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


def _patches(operation: Any, _shape: Sides, _made: Sides) -> Windows | None:
    """The windows of `keras.ops.image.extract_patches`."""
    (height, width), strides = (_pair(each) for each in (operation.size, operation.strides or operation.size))
    if operation.padding != "valid" or operation.dilation_rate not in (1, (1, 1)):
        return None
    return Window(0, height, strides[0]), Window(0, width, strides[1])


def _pair(each: Any) -> Sides:
    return (each, each) if isinstance(each, int) else (each[0], each[1])


def _resized(layer: Any, shape: Sides, made: Sides) -> Windows | None:
    """What is read of the pixels near the middle of each new one, of the part of the image that the layer takes."""
    interpolation, smooth = layer.interpolation, bool(getattr(layer, "antialias", False))
    if interpolation not in RADIUS:
        return None
    found: list[Window | Integers] = []
    for (start, length), old, new in zip(_parts(layer, shape, made), shape, made, strict=True):
        if interpolation == "bilinear" and not smooth and length == old and length % new == 0:
            # To a whole fraction of the size: the pixel in the middle, or the two next to it.
            step = length // new
            found.append(Window(-((step - 1) // 2), 1 + (step % 2 == 0), step))
            continue
        taps = nearest(length, new) if interpolation == "nearest" else interpolated(length, new, interpolation, smooth)
        # Pixels beyond the border are padding.
        taps = np.where((taps >= 0) & (taps + start >= 0) & (taps + start < old), taps + start, -1)
        found.append(_steps(taps) if interpolation == "nearest" or (start, length) == (0, new) else taps)
    return found[0], found[1]


def _steps(taps: Integers) -> Window | Integers:
    """Units of which each reads a single place, as a window where these go on in regular steps; else what was given."""
    steps = np.unique(np.diff(taps[:, 0])) if len(taps) > 1 else np.ones(1, np.int64)
    if taps.shape[1] > 1 or (taps < 0).any() or len(steps) > 1 or steps[0] < 1:
        return taps
    return Window(-int(taps[0, 0]), 1, int(steps[0]))


def _parts(layer: Any, shape: Sides, made: Sides) -> list[Sides]:
    """Of rows and of columns, the first and how many are resized; negative where the image is padded before."""
    # As many as the other side has for the aspect of what is made.
    fitting = [max(shape[1] * made[0] // made[1], 1), max(shape[0] * made[1] // made[0], 1)]
    if getattr(layer, "crop_to_aspect_ratio", False):
        kept = [min(fit, length) for fit, length in zip(fitting, shape, strict=True)]
        return [((length - each) // 2, each) for each, length in zip(kept, shape, strict=True)]
    if getattr(layer, "pad_to_aspect_ratio", False):
        pads = [max(fit - length, 0) // 2 for fit, length in zip(fitting, shape, strict=True)]
        return [(-pad, length + 2 * pad) for pad, length in zip(pads, shape, strict=True)]
    return [(0, length) for length in shape]


RADIUS = {"nearest": 0, "bilinear": 1, "bicubic": 2, "lanczos3": 3, "lanczos5": 5}
"""How many pixels an interpolation reads on each side, of those of the coarser of the two grids where it is smoothed."""


def interpolated(length: int, new: int, interpolation: str, antialias: bool) -> Integers:
    """What an interpolation reads along an axis resized from `length` to `new` pixels: (new, k), −1 for none.

    Unit i lies at (i + ½) · length / new − ½, and reads what is less than the radius of the kernel away from it. All is
    counted in pixels / (2 · new), which are whole numbers.
    """
    pixel = 2 * new
    scale = max(pixel, 2 * length) if antialias else pixel
    reach = RADIUS[interpolation] * scale
    center = (2 * np.arange(new) + 1) * length - new
    first, last = (center - reach) // pixel + 1, -(-(center + reach) // pixel) - 1
    taps = first[:, None] + np.arange((last - first).max() + 1)
    away = np.abs(taps * pixel - center[:, None])
    # There kernels of more than one pixel on each side are zero.
    zero = (away % scale == 0) & (away > 0)
    read = (taps <= last[:, None]) & (taps >= 0) & (taps < length) & ~zero
    # No more columns than are needed.
    return -np.sort(-np.where(read, taps, -1), axis=1)[:, : read.sum(axis=1).max()]


def nearest(length: int, new: int) -> Integers:
    """The pixel that is read along an axis resized from `length` to `new` pixels, (new, 1).

    Where two are as near, which one is taken depends on how the backend rounds, so that it is asked.
    """

    def resized() -> Array:
        places = keras.ops.reshape(keras.ops.arange(length, dtype="float32"), (1, length, 1, 1))
        made = keras.ops.image.resize(places, (new, 1), interpolation="nearest", data_format="channels_last")
        return np.asarray(keras.ops.convert_to_numpy(made))

    return np.asarray(aside(resized).reshape(new, 1), np.int64)


LOCAL: dict[str, Callable[[Any, Sides, Sides], Windows | None]] = {
    **{kind: _kernel("kernel_size") for kind in ("Conv2D", "DepthwiseConv2D", "SeparableConv2D")},
    **{kind: _kernel("pool_size") for kind in ("MaxPooling2D", "AveragePooling2D")},
    "ExtractPatches": _patches,
    **dict.fromkeys(("Resize", "Resizing", "UpSampling2D"), _resized),
    "ZeroPadding2D": lambda layer, *_: (Window(layer.padding[0][0], 1), Window(layer.padding[1][0], 1)),
    "Cropping2D": lambda layer, *_: (Window(-layer.cropping[0][0], 1), Window(-layer.cropping[1][0], 1)),
}
"""Layers whose units see a window of the layer before, each with what gives that window, or None where it isn't known.

It is given the layer, the rows and columns that it takes, and those that it returns.
"""
