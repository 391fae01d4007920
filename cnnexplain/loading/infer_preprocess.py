"""What a model tells of its input: its size and colors, and the range of pixels that its first operations expect."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import keras
import numpy as np

from cnnexplain.errors import ModelError
from cnnexplain.inputs.literals import Color
from cnnexplain.inputs.preprocess import Preprocess
from cnnexplain.interruption import check_interrupted
from cnnexplain.model import lenet
from cnnexplain.model.graph import Call
from cnnexplain.model.inference import run_isolated
from cnnexplain.model.model_inputs import IMAGE, Inputs
from cnnexplain.model.subclassed import has_graph
from cnnexplain.model.tracing import trace_calls
from cnnexplain.types import Floats, Integers

SIDE = 224
"""Rows and columns that are taken for a model which leaves them open, where nothing else is said."""

LARGEST = 1 << 23
"""Of an input of more numbers nothing is inferred: its operations would have to run on all of them."""

SAMPLED = 1 << 12
"""How many numbers of an operation's output are looked at."""

PIXELS, SHARES, SIGNED = (0.0, 255.0), (0.0, 1.0), (-1.0, 1.0)
"""The ranges of inputs that are recognized."""

SAID: dict[tuple[float, float], dict[str, Any]] = {
    PIXELS: {"scale": 1.0},
    SHARES: {"scale": 1 / 255},
    SIGNED: {"scale": 1 / 127.5, "mean": (1.0,)},
}
"""How a `Preprocess` says them."""


@dataclass(frozen=True)
class Range:
    """The range of pixels that a model's first operations expect, since they bring it to one that networks compute with.

    Args:
        low: What the model takes for a black pixel.
        high: What it takes for a white one.
        inner: What its operations make of the two; None where only the type of the input tells.
        operations: Their names, in the order of computation.
    """

    low: float
    high: float
    inner: tuple[float, float] | None = None
    operations: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.inner is None:
            return "the model takes whole numbers"
        names = ", ".join(self.operations[:4]) + (" …" if len(self.operations) > 4 else "")
        return f"the model maps {self.low:g} to {self.high:g} onto {self.inner[0]:.3g} to {self.inner[1]:.3g} ({names})"


def told(model: Any, inputs: Inputs = IMAGE) -> Preprocess:
    """What a model tells of its image, the rest assumed: the LeNet's is MNIST's, operations that scale tell its range.

    Args:
        model: A Keras model with a graph.
        inputs: Which of its inputs is the image, and the values of the others.

    Raises:
        ModelError: That input is no image.
    """
    shape = tuple(model.inputs[inputs.image].shape[1:])
    which = f"input '{inputs.name}' of the model" if inputs.fixed else "model"
    if len(shape) == 3 and shape[2] not in (1, 3) and _channels_first(shape):
        raise ModelError(
            f"The {which} '{model.name}' takes {_named(shape)}, channels first; only (height, width, channels) is explained."
        )
    shape = (*shape, 1) if inputs.flat else shape
    if len(shape) != 3 or shape[2] is None:
        raise ModelError(
            f"The {which} '{model.name}' takes {_named(shape)}, which is no image; "
            "expected (height, width, channels), or (height, width) of gray ones."
        )
    height, width = (size or SIDE for size in shape[:2])
    if shape[2] not in (1, 3):
        return _of_bands(model, (height, width, shape[2]), inputs, size=("size",) if None in shape else ())
    color: Color = "gray" if shape[2] == 1 else "rgb"
    if model.name == lenet.NAME and shape == (28, 28, 1):
        return Preprocess(height, width, color, fit="digit")
    size = ("size",) if None in shape else ()
    found = expected_range(model, (height, width, shape[2]), inputs)
    if found is None:
        return Preprocess(height, width, color, assumed=(*size, "range"))
    return Preprocess(height, width, color, **SAID[found.low, found.high], assumed=size)


def _of_bands(model: Any, shape: tuple[int, int, int], inputs: Inputs, size: tuple[str, ...]) -> Preprocess:
    """For bands, whose numbers are given to the model as they are unless something says otherwise."""
    height, width, bands = shape
    found = expected_range(model, shape, inputs)
    if found is None or found.low < 0:
        return Preprocess(height, width, "bands", scale=1.0, bands=bands, assumed=(*size, "range"))
    return Preprocess(height, width, "bands", scale=1.0, bands=bands, white_level=found.high, assumed=size)


def _channels_first(shape: tuple[int | None, ...]) -> bool:
    """Whether (channels, height, width) is likelier than (height, width, channels)."""
    first, height, width = shape
    return first in (1, 3) or (first is not None and height is not None and height == width and first < min(height, FEW))


FEW = 32
"""Bands there seldom are more of, and seldom images of fewer rows."""


def expected_range(model: Any, shape: tuple[int, int, int], inputs: Inputs = IMAGE) -> Range | None:
    """The range of pixels that a model's own operations expect; None where they don't tell it.

    Constant images go through the operations before the first layer that has learned anything. The range that they bring to
    one that networks compute with, such as −1 to 1, is the one that the model was made for. Where several fit, or the
    operations do nothing, it is not known.

    Args:
        model: The model.
        shape: (H, W, C) of the image.
        inputs: What the model is given beside it.
    """
    whole = "int" in model.inputs[inputs.image].dtype
    try:
        found = (
            None
            if np.prod(shape) > LARGEST or (len(model.inputs) == 1 and _learns_at_once(model))
            else _brought(model, shape, inputs)
        )
    # The operations are anyone's code; one that fails will do so again, and be named, when the model is run.
    except Exception as error:  # noqa: BLE001
        check_interrupted(error)
        found = None
    return found or (Range(*PIXELS) if whole else None)


def _brought(model: Any, shape: tuple[int, int, int], inputs: Inputs) -> Range | None:
    tensor, calls = trace_calls(model, shape, inputs)
    seen, before = {id(tensor)}, list[Call]()
    end, after = None, None
    for call in calls:
        known = [source for source in call.sources if id(source) in seen]
        if known and (len(known) < len(call.sources) or _learns(call.inner)):
            end, after = known[0], call
            break
        if known:
            before.append(call)
            seen |= set(map(id, keras.tree.flatten(call.output)))
    if end is None:
        return None
    statistics = _statistics(after.inner) if after is not None else None
    random = np.random.default_rng(0)
    places: dict[int, Integers] = {}

    def at(value: float) -> list[Floats]:
        """Some of the numbers that each operation makes of images of that value, and those that the first layer is given."""
        here = {id(tensor): keras.ops.full((tensor.shape[0] or 1, *shape), value, "float32")}
        for call in before:
            args, kwargs = keras.tree.map_structure(lambda leaf: here.get(id(leaf), leaf), (call.args, call.kwargs))
            made = keras.tree.flatten(run_isolated(partial(call.function, *args, **kwargs)))
            here.update(zip(map(id, keras.tree.flatten(call.output)), made, strict=True))
        some = list[Floats]()
        for key in [*(id(keras.tree.flatten(call.output)[0]) for call in before), id(end)]:
            found = np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(here[key], "float32")), np.float64)
            if key == id(end) and statistics is not None:
                found = (found - statistics[0]) / np.sqrt(statistics[1])
            chosen = places.setdefault(
                key, random.integers(0, found.size, SAMPLED) if found.size > SAMPLED else np.arange(found.size)
            )
            some.append(found.ravel()[chosen])
        return some

    made = {value: at(value) for value in (-1.0, 0.0, 1.0, 255.0)}
    names = (*(call.name for call in before), *([] if statistics is None or after is None else [after.name]))
    fits = []
    for low, high in (PIXELS, SHARES, SIGNED):
        *between, inner = (_ends(*each) for each in zip(made[low], made[high], strict=True))
        # What takes shares to whole pixels, whatever becomes of them then, is made for shares.
        to_pixels = (low, high) != PIXELS and any(each is not None and _bytes(*each) for each in between)
        if inner is not None and (to_pixels or _usual((low, high), *sorted(inner), normalized=statistics is not None)):
            fits.append(Range(low, high, inner, names))
    return fits[0] if len(fits) == 1 else None


def _ends(black: Floats, white: Floats) -> tuple[float, float] | None:
    """What black and white have become, where that depends on the pixels: zeros around them, for one, do not."""
    moved = black != white
    if not moved.any() or not np.isfinite([black, white]).all():
        return None
    return float(np.median(black[moved])), float(np.median(white[moved]))


def _bytes(low: float, high: float) -> bool:
    return abs(low) < 2 and 250 <= high - low <= 260


def _usual(given: tuple[float, float], low: float, high: float, *, normalized: bool) -> bool:
    """Whether networks compute with the range from low to high, which operations that do nothing don't give."""
    span = high - low
    # Where between the ends zero lies.
    zero = -low / span
    centered = 0.8 <= span <= 10.5 and 0.05 <= zero <= 0.9
    if normalized:
        return given != SIGNED and span >= 1.9 and centered
    if given == SIGNED:
        # A range around zero may come of 0 to 1 just as well.
        return (abs(zero) < 0.02 and 0.95 <= span <= 1.05) or (zero < 0.48 and span > 4 and centered)
    # As Keras' models of "caffe" have it, whose channels' means are subtracted.
    shifted = 230 <= span <= 280 and 0.25 <= zero <= 0.65
    if given == SHARES:
        return centered or shifted
    return centered or shifted or (abs(zero) < 0.02 and 0.8 <= span <= 2.6)


def _learns(inner: Any) -> bool:
    """Whether a layer computes with what it has learned, other than the mean and the variance of pixels."""
    return isinstance(inner, keras.Layer) and bool(inner.weights) and not isinstance(inner, keras.layers.Normalization)


def _statistics(inner: Any) -> tuple[Floats, Floats] | None:
    """The mean and the variance of the pixels that a batch normalization has seen."""
    if not isinstance(inner, keras.layers.BatchNormalization) or inner.axis not in (-1, 3):
        return None
    mean, variance = (
        np.asarray(keras.ops.convert_to_numpy(each), np.float64) for each in (inner.moving_mean, inner.moving_variance)
    )
    return mean, variance + inner.epsilon


def _learns_at_once(model: Any) -> bool:
    """Whether the first layer has learned something, so that tracing the model, which takes a while, would tell nothing."""
    first = next((each for each in _leaves(model) if not isinstance(each, keras.layers.InputLayer)), None)
    return first is not None and _learns(first) and _statistics(first) is None


def _leaves(model: Any) -> Iterator[Any]:
    """The layers and operations of a model, those of nested models in their place."""
    # A sequential model has layers alone.
    for each in getattr(model, "operations", None) or model.layers:
        yield from _leaves(each) if has_graph(each) else [each]


def _named(shape: tuple[int | None, ...]) -> str:
    return f"({', '.join('any' if size is None else str(size) for size in shape)})"
