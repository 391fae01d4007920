"""The projections as Zeiler & Fergus 2014 compute them: switches, ReLU rules and transposed filters, in NumPy.

No gradient is used. It works for networks that begin with a chain of common layers, such as the LeNet or VGG16.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from cnnexplain.checks import difference, rounding
from cnnexplain.plugin import Measurement, Subject
from cnnexplain_plugins.deconvnet import crops

if TYPE_CHECKING:
    from jaxtyping import Float32, Float64

UNITS = 2
"""The number of units of each layer whose projections are computed."""

RULES = ("deconvnet", "guided")
"""The rules; another check covers the gradient."""

KNOWN = (
    *(keras.layers.Conv2D, keras.layers.MaxPooling2D, keras.layers.BatchNormalization, keras.layers.Dropout),
    *(keras.layers.ReLU, keras.layers.Activation),
)
"""The layers of a chain; a dropout passes the signal on as it is."""


def measure(subject: Subject) -> Measurement:
    """The largest difference of a projection, relative to its largest magnitude."""
    chain = _chain(subject.classifier.model)
    names = [layer.name for layer in chain]
    shown = [name for name in subject.fact("strongest") if name in names]
    if not shown:
        return Measurement(None, detail="no layer shown ends a chain of convolutions, ReLUs, and pooling")
    outputs = {name: each[0] for name, each in subject.classifier.activations(subject.image, names).items()}
    worst, count = 0.0, 0
    for name, rule in product(shown, RULES):
        projections = subject.record.arrays.get(f"projection/{name}/{rule}")
        if projections is None:
            continue
        part = chain[: names.index(name) + 1]
        for rank, unit in enumerate(subject.fact("strongest")[name][:UNITS]):
            signal = np.zeros(outputs[name].shape)
            signal[unit["row"], unit["column"], unit["map"]] = unit["activation"]
            pixels = _back(part, signal, {**outputs, "": subject.image[0]}, rule)
            expected = np.zeros(projections.shape[2:])
            crops.cut(pixels, tuple(unit["corner"]), expected)
            worst, count = max(worst, difference(projections[subject.index, rank], expected)), count + 1
    if not count:
        return Measurement(None, detail=f"the result has none of the rules {' and '.join(RULES)} there")
    return Measurement(worst, rounding(subject.classifier), f"{count} projections of {', '.join(shown)}")


def _chain(model: Any) -> list[Any]:
    """The layers from the image on, each the only input of the next, as far as they are known here."""
    chain: list[Any] = []
    tensor = model.inputs[0] if len(model.inputs) == 1 else None
    for layer in model.layers:
        if isinstance(layer, keras.layers.InputLayer):
            continue
        # A layer that is called several times has no single input.
        if getattr(layer, "input", None) is not tensor or not _known(layer):
            break
        chain.append(layer)
        tensor = layer.output
    return chain


def linear_or_relu(layer: Any) -> bool:
    """Whether a layer's activation is linear or a ReLU, and a layer that is a ReLU has no ceiling, slope or threshold."""
    if isinstance(layer, keras.layers.ReLU):
        return layer.max_value is None and not layer.negative_slope and not layer.threshold
    return getattr(layer, "activation", None) in (None, keras.activations.linear, keras.activations.relu)


def _known(layer: Any) -> bool:
    if isinstance(layer, keras.layers.ReLU):
        return linear_or_relu(layer)
    if getattr(layer, "data_format", "channels_last") != "channels_last":
        return False
    if type(layer) is keras.layers.Conv2D and (layer.groups != 1 or set(layer.dilation_rate) != {1}):
        return False
    if type(layer) is keras.layers.BatchNormalization and layer.axis not in (-1, 3):
        return False
    return type(layer) in KNOWN and linear_or_relu(layer)


def _back(
    chain: list[Any], signal: Float64[np.ndarray, "h w F"], outputs: Mapping[str, Float32[np.ndarray, " ..."]], rule: str
) -> Float64[np.ndarray, "H W C"]:
    """A signal at the output of the last layer, passed back to the image."""
    for layer, before in zip(chain[::-1], [*(each.name for each in chain[-2::-1]), ""], strict=True):
        x = outputs[before]
        if isinstance(layer, keras.layers.ReLU) or getattr(layer, "activation", None) is keras.activations.relu:
            signal = np.where(signal > 0, signal, 0)
            if rule == "guided":
                signal = np.where(outputs[layer.name] > 0, signal, 0)
        if isinstance(layer, keras.layers.Conv2D):
            signal = _filtered(layer, signal, x)
        elif isinstance(layer, keras.layers.MaxPooling2D):
            signal = _unpooled(layer, signal, x)
        elif isinstance(layer, keras.layers.BatchNormalization):
            factor = 1.0 if layer.gamma is None else keras.ops.convert_to_numpy(layer.gamma).astype(np.float64)
            variance = keras.ops.convert_to_numpy(layer.moving_variance).astype(np.float64)
            signal = signal * factor / np.sqrt(variance + layer.epsilon)
    return signal


def _filtered(
    layer: Any, signal: Float64[np.ndarray, "h w F"], x: Float32[np.ndarray, "H W C"]
) -> Float64[np.ndarray, "H W C"]:
    """The signal, filtered with the transposed kernels."""
    kernel = np.asarray(layer.get_weights()[0], np.float64)
    (top, left), canvas = _canvas(layer, layer.kernel_size, x)
    for row, column in product(*map(range, layer.kernel_size)):
        windows = tuple(
            slice(first, first + step * count, step)
            for first, step, count in zip((row, column), layer.strides, signal.shape, strict=False)
        )
        canvas[windows] += signal @ kernel[row, column].T
    return canvas[top : top + x.shape[0], left : left + x.shape[1]]


def _unpooled(
    layer: Any, signal: Float64[np.ndarray, "h w F"], x: Float32[np.ndarray, "H W F"]
) -> Float64[np.ndarray, "H W F"]:
    """The signal at the places of the maxima, the first of equal ones."""
    (top, left), canvas = _canvas(layer, layer.pool_size, x)
    padded = np.full(canvas.shape, -np.inf)
    padded[top : top + x.shape[0], left : left + x.shape[1]] = x
    height, width = layer.pool_size
    for row, column, channel in zip(*np.nonzero(signal), strict=True):
        y, z = row * layer.strides[0], column * layer.strides[1]
        place = padded[y : y + height, z : z + width, channel].argmax()
        canvas[y + place // width, z + place % width, channel] += signal[row, column, channel]
    return canvas[top : top + x.shape[0], left : left + x.shape[1]]


def _canvas(
    layer: Any, size: tuple[int, int], x: Float32[np.ndarray, "H W C"]
) -> tuple[tuple[int, int], Float64[np.ndarray, "h w C"]]:
    """Zeros for the padded input of a layer with windows of a size; and the padding above and on the left."""
    before, sides = [], []
    for window, step, side in zip(size, layer.strides, x.shape, strict=False):
        # With "valid", the last rows may lie in no window.
        missing = max((-(-side // step) - 1) * step + window - side, 0) if layer.padding == "same" else 0
        before.append(missing // 2)
        sides.append(side + missing)
    return (before[0], before[1]), np.zeros((*sides, x.shape[2]))
