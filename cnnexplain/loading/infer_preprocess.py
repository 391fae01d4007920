"""Infers the preprocessing of a model: the size and colors of its input, and the range expected by its first operations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from cnnexplain.errors import ModelError
from cnnexplain.inputs import presets
from cnnexplain.inputs.literals import Color
from cnnexplain.inputs.preprocess import Preprocess
from cnnexplain.interruption import check_interrupted
from cnnexplain.model.structure.graph import Call
from cnnexplain.model.structure.inference import run_isolated
from cnnexplain.model.structure.model_inputs import IMAGE, Inputs
from cnnexplain.model.structure.subclassed import has_graph
from cnnexplain.model.structure.tracing import trace_calls

if TYPE_CHECKING:
    from jaxtyping import Float, Float64, Int64

SIDE = 224
"""The assumed rows and columns of an input of variable size, if they are not given."""

LARGEST = 1 << 23
"""The range is not inferred for inputs with more numbers, because operations would have to process all of them."""

SAMPLED = 1 << 12
"""The maximum number of values of an operation's output that are examined."""

PIXELS, SHARES, SIGNED = (0.0, 255.0), (0.0, 1.0), (-1.0, 1.0)
"""The ranges of inputs that are recognized."""

SETTINGS: dict[tuple[float, float], dict[str, Any]] = {
    PIXELS: {"scale": 1.0},
    SHARES: {"scale": 1 / 255},
    SIGNED: {"scale": 1 / 127.5, "mean": (1.0,)},
}
"""The arguments of a `Preprocess` for these ranges."""


@dataclass(frozen=True)
class Range:
    """The range of pixels that a model's first operations map to a range in which networks usually compute.

    Args:
        low: The input for a black pixel.
        high: The input for a white pixel.
        inner: The outputs of the operations for the two; None if the range follows from the data type of the input.
        operations: The names of the operations, in the order of computation.
    """

    low: float
    high: float
    inner: tuple[float, float] | None = None
    operations: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.inner is None:
            return "the model takes integers"
        names = ", ".join(self.operations[:4]) + (" …" if len(self.operations) > 4 else "")
        return f"the model maps {self.low:g} to {self.high:g} onto {self.inner[0]:.3g} to {self.inner[1]:.3g} ({names})"


def infer(model: Any, inputs: Inputs = IMAGE) -> Preprocess:
    """Infers the preprocessing from a model, and assumes the rest.

    Models with the name and shape of a preset, such as the LeNet, have its preprocessing. Operations that scale the input
    determine its range.

    Args:
        model: A Keras model with a graph.
        inputs: Which of its inputs is the image, and the values of the others.

    Raises:
        ModelError: The input is not an image.
    """
    shape = tuple(model.inputs[inputs.image].shape[1:])
    which = f"input '{inputs.name}' of the model" if inputs.fixed else "model"
    if len(shape) == 3 and shape[2] not in (1, 3) and _channels_first(shape):
        raise ModelError(
            f"The {which} '{model.name}' takes {_readable(shape)}, channels first; expected (height, width, channels)."
        )
    shape = (*shape, 1) if inputs.flat else shape
    if len(shape) != 3 or shape[2] is None:
        raise ModelError(
            f"The {which} '{model.name}' takes {_readable(shape)}, which is not an image; "
            "expected (height, width, channels), or (height, width) for gray images."
        )
    height, width = (size or SIDE for size in shape[:2])
    if shape[2] not in (1, 3):
        return _infer_bands(model, (height, width, shape[2]), inputs, size=("size",) if None in shape else ())
    color: Color = "gray" if shape[2] == 1 else "rgb"
    preset = presets.of_model(model.name, shape)
    if preset is not None:
        return Preprocess(height, width, color, fit=preset.fit)
    size = ("size",) if None in shape else ()
    expected = expected_range(model, (height, width, shape[2]), inputs)
    if expected is None:
        return Preprocess(height, width, color, assumed=(*size, "range"))
    return Preprocess(height, width, color, **SETTINGS[expected.low, expected.high], assumed=size)


def _infer_bands(model: Any, shape: tuple[int, int, int], inputs: Inputs, size: tuple[str, ...]) -> Preprocess:
    """Infers the preprocessing of bands, whose numbers are passed to the model unchanged."""
    height, width, bands = shape
    expected = expected_range(model, shape, inputs)
    if expected is None or expected.low < 0:
        return Preprocess(height, width, "bands", scale=1.0, bands=bands, assumed=(*size, "range"))
    return Preprocess(height, width, "bands", scale=1.0, bands=bands, white_level=expected.high, assumed=size)


def _channels_first(shape: tuple[int | None, ...]) -> bool:
    """Whether (channels, height, width) is more likely than (height, width, channels)."""
    first, height, width = shape
    return first in (1, 3) or (first is not None and height is not None and height == width and first < min(height, FEW))


FEW = 32
"""Inputs rarely have more bands, or fewer rows."""


def expected_range(model: Any, shape: tuple[int, int, int], inputs: Inputs = IMAGE) -> Range | None:
    """The range of pixels that a model's own operations expect; None if they do not determine it.

    Constant images pass through the operations before the first layer with trained weights. The expected range is the one
    that they map to a range in which networks usually compute, such as −1 to 1. It is unknown if several ranges qualify, or
    if the operations do nothing.

    Args:
        model: The model.
        shape: (H, W, C) of the image.
        inputs: The values of the other inputs.
    """
    takes_integers = "int" in model.inputs[inputs.image].dtype
    try:
        mapped = (
            None
            if np.prod(shape) > LARGEST or (len(model.inputs) == 1 and _starts_with_weights(model))
            else _mapped_range(model, shape, inputs)
        )
    # Operations may be custom code. If one fails, it fails again when the model runs, with an error that names it.
    except Exception as error:  # noqa: BLE001
        check_interrupted(error)
        mapped = None
    return mapped or (Range(*PIXELS) if takes_integers else None)


def _mapped_range(model: Any, shape: tuple[int, int, int], inputs: Inputs) -> Range | None:
    tensor, calls = trace_calls(model, shape, inputs)
    seen, before = {id(tensor)}, list[Call]()
    end, after = None, None
    for call in calls:
        reached = [source for source in call.sources if id(source) in seen]
        if reached and (len(reached) < len(call.sources) or _has_weights(call.inner)):
            end, after = reached[0], call
            break
        if reached:
            before.append(call)
            seen |= set(map(id, keras.tree.flatten(call.output)))
    if end is None:
        return None
    statistics = _statistics(after.inner) if after is not None else None
    random = np.random.default_rng(0)
    places: dict[int, Int64[np.ndarray, " n"]] = {}

    def outputs_for(value: float) -> list[Float64[np.ndarray, " n"]]:
        """Samples of the output of each operation, and of the input of the first layer, for images of this value."""
        tensors = {id(tensor): keras.ops.full((tensor.shape[0] or 1, *shape), value, "float32")}
        for call in before:
            args, kwargs = keras.tree.map_structure(lambda leaf: tensors.get(id(leaf), leaf), (call.args, call.kwargs))
            outputs = keras.tree.flatten(run_isolated(partial(call.function, *args, **kwargs)))
            tensors.update(zip(map(id, keras.tree.flatten(call.output)), outputs, strict=True))
        samples = []
        for key in [*(id(keras.tree.flatten(call.output)[0]) for call in before), id(end)]:
            values = np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(tensors[key], "float32")), np.float64)
            if key == id(end) and statistics is not None:
                values = (values - statistics[0]) / np.sqrt(statistics[1])
            chosen = places.setdefault(
                key, random.integers(0, values.size, SAMPLED) if values.size > SAMPLED else np.arange(values.size)
            )
            samples.append(values.ravel()[chosen])
        return samples

    outputs = {value: outputs_for(value) for value in (-1.0, 0.0, 1.0, 255.0)}
    names = (*(call.name for call in before), *([] if statistics is None or after is None else [after.name]))
    fitting = []
    for low, high in (PIXELS, SHARES, SIGNED):
        *between, inner = (_ends(*each) for each in zip(outputs[low], outputs[high], strict=True))
        # If an operation maps shares to pixel values, the model takes shares, whatever follows.
        to_pixels = (low, high) != PIXELS and any(each is not None and _are_pixels(*each) for each in between)
        if inner is not None and (to_pixels or _is_usual((low, high), *sorted(inner), normalized=statistics is not None)):
            fitting.append(Range(low, high, inner, names))
    return fitting[0] if len(fitting) == 1 else None


def _ends(black: Float64[np.ndarray, " n"], white: Float64[np.ndarray, " n"]) -> tuple[float, float] | None:
    """The outputs for black and white, where they depend on the pixels, unlike padding with zeros."""
    differs = black != white
    if not differs.any() or not np.isfinite([black, white]).all():
        return None
    return float(np.median(black[differs])), float(np.median(white[differs]))


def _are_pixels(low: float, high: float) -> bool:
    """Whether the range is about 0 to 255."""
    return abs(low) < 2 and 250 <= high - low <= 260


def _is_usual(given: tuple[float, float], low: float, high: float, *, normalized: bool) -> bool:
    """Whether networks usually compute in the range from low to high, other than the given one that operations keep."""
    span = high - low
    # The position of zero between the ends.
    zero = -low / span
    centered = 0.8 <= span <= 10.5 and 0.05 <= zero <= 0.9
    if normalized:
        return given != SIGNED and span >= 1.9 and centered
    if given == SIGNED:
        # A range around zero may also be the result of 0 to 1.
        return (abs(zero) < 0.02 and 0.95 <= span <= 1.05) or (zero < 0.48 and span > 4 and centered)
    # As in Keras' "caffe" mode, which subtracts the means of the channels.
    shifted = 230 <= span <= 280 and 0.25 <= zero <= 0.65
    if given == SHARES:
        return centered or shifted
    return centered or shifted or (abs(zero) < 0.02 and 0.8 <= span <= 2.6)


def _has_weights(inner: Any) -> bool:
    """Whether a layer has trained weights, other than the mean and the variance of pixels."""
    return isinstance(inner, keras.Layer) and bool(inner.weights) and not isinstance(inner, keras.layers.Normalization)


def _statistics(inner: Any) -> tuple[Float[np.ndarray, " C"], Float[np.ndarray, " C"]] | None:
    """The mean and the variance of the pixels in a batch normalization; None for other layers."""
    if not isinstance(inner, keras.layers.BatchNormalization) or inner.axis not in (-1, 3):
        return None
    mean, variance = (
        np.asarray(keras.ops.convert_to_numpy(each), np.float64) for each in (inner.moving_mean, inner.moving_variance)
    )
    return mean, variance + inner.epsilon


def _starts_with_weights(model: Any) -> bool:
    """Whether the first layer has trained weights, so that tracing the model, which takes a while, is useless."""
    first = next((each for each in _leaves(model) if not isinstance(each, keras.layers.InputLayer)), None)
    return first is not None and _has_weights(first) and _statistics(first) is None


def _leaves(model: Any) -> Iterator[Any]:
    """The layers and operations of a model, including those of nested models instead of the nested models."""
    # A sequential model has only layers.
    for each in getattr(model, "operations", None) or model.layers:
        yield from _leaves(each) if has_graph(each) else [each]


def _readable(shape: tuple[int | None, ...]) -> str:
    return f"({', '.join('any' if size is None else str(size) for size in shape)})"
