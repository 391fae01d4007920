"""The inputs of a model: the image that is explained, and the fixed values of all others."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from cnnexplain.errors import ModelError, UsageError, suggest
from cnnexplain.model import fixed_inputs
from cnnexplain.model.subclassed import no_graph
from cnnexplain.types import Array


@dataclass(frozen=True)
class Inputs:
    """What a model of several inputs is given beside the image.

    Args:
        image: The place of the image among the model's inputs.
        name: Its name.
        fixed: By place the values of each other input, (1, …) in its type.
        names: By place their names.
        flat: Whether the model takes the image as (H, W), without an axis of channels.
    """

    image: int = 0
    name: str = ""
    fixed: Mapping[int, Array] = field(default_factory=dict)
    names: Mapping[int, str] = field(default_factory=dict)
    flat: bool = False

    @property
    def described(self) -> dict[str, Any]:
        """JSON-able, for a result; empty for a model of one image alone."""
        if not self.fixed:
            return {}
        return {
            "input": self.name,
            "fixed": fixed_inputs.described({self.names[place]: self.fixed[place] for place in self.fixed}),
        }

    def __str__(self) -> str:
        """The fixed values in words, such as "age = 58, mask of shape (8, 8)"; "" where there are none."""
        words = []
        for place, value in self.fixed.items():
            numbers = ", ".join(f"{each:g}" for each in value.ravel().tolist())
            several = value.size > fixed_inputs.FEW
            words.append(f"{self.names[place]} {f'of shape {value.shape[1:]}' if several else f'= {numbers}'}")
        return "; ".join(words)

    def given(self, image: Any) -> list[Any]:
        """What the model is given for a batch of images (N, H, W, C), as a list of its inputs."""
        count = keras.ops.shape(image)[0]
        taken = keras.ops.squeeze(image, -1) if self.flat else image
        return [taken if place == self.image else repeated(self.fixed[place], count) for place in range(1 + len(self.fixed))]


IMAGE = Inputs()
"""Those of a model of one image."""


def repeated(value: Array, count: Any) -> Any:
    """(1, …) as (count, …), for any number of images, also where it is known only when the graph runs."""
    return keras.ops.broadcast_to(keras.ops.convert_to_tensor(value), (count, *value.shape[1:]))


def settle(model: Any, wanted: str | None, values: Mapping[str, Any]) -> Inputs:
    """Which input is the image, and what all others are given.

    Args:
        model: A Keras model with a graph.
        wanted: The name of the image; None for the only input without a fixed value.
        values: By name what `fixed.read` takes.

    Raises:
        UsageError: There is no input of a name, values have another shape or type, or an input has no value.
        ModelError: The model has no graph, or an input takes what can't be fixed.
    """
    if not getattr(model, "inputs", None) or not getattr(model, "outputs", None):
        raise no_graph(model)
    names = _names(model)
    places = {name: place for place, alike in enumerate(names) for name in alike}
    for name in [*([] if wanted is None else [wanted]), *values]:
        if name not in places:
            raise UsageError(
                f"The model '{model.name}' has no input '{str(name)[:60]}'.{suggest(str(name)[:60], places)} {_all(model)}"
            )
    given = {places[name]: name for name in values}
    left = [place for place in range(len(names)) if place not in given]
    image = places[wanted] if wanted is not None else left[0] if len(left) == 1 else None
    if image in given:
        raise UsageError(f"The input '{wanted}' is the image that is explained, and can't be fixed as well.")
    if not left:
        raise UsageError(f"All inputs of the model '{model.name}' are fixed; leave out the image that is to be explained.")
    if image is None or len(left) > 1:
        # What has no rows and columns is surely not the image.
        others = [place for place in reversed(left) if place != image]
        others.sort(key=lambda place: len(model.inputs[place].shape) in (3, 4))
        example = names[others[0]][0]
        which = "all but the image that is explained" if image is None else f"'{example}'"
        raise UsageError(
            f"{_all(model)} Give values to {which}, such as --fixed {example}=NUMBERS or {example}=FILE "
            f"(fixed={{'{example}': …}})."
        )
    found = {place: _fit(model.inputs[place], names[place][0], values[name]) for place, name in given.items()}
    flat = len(model.inputs[image].shape) == 3
    return Inputs(image, names[image][0], found, {place: names[place][0] for place in given}, flat)


def check_shape(model: Any, inputs: Inputs, declared: tuple[int, int, int]) -> None:
    """Sees that a model takes images of the shape (H, W, C) that is declared for it.

    Raises:
        UsageError: It does not.
    """
    shape = tuple(model.inputs[inputs.image].shape[1:])
    if inputs.flat:
        shape = (*shape, 1)
    if any(size not in (None, given) for size, given in zip(shape, declared, strict=True)):
        raise UsageError(
            f"The model '{model.name}' takes {shape_text(shape)}, but is declared to take {shape_text(declared)}; "
            "give its own size and colors (--input-size, --input-color, the sidecar or preprocess=)."
        )


def _names(model: Any) -> list[list[str]]:
    """What each input of a model may be called: its key, where the model takes them in a dictionary, and its own name."""
    structure = getattr(model, "input", None)
    keys = {id(tensor): str(key) for key, tensor in structure.items()} if isinstance(structure, Mapping) else {}
    return [
        list(dict.fromkeys([*([keys[id(tensor)]] if id(tensor) in keys else []), tensor.name])) for tensor in model.inputs
    ]


def _all(model: Any) -> str:
    listed = [
        f"{alike[0]} {shape_text(tensor.shape[1:])}" for alike, tensor in zip(_names(model), model.inputs, strict=True)
    ]
    if len(listed) == 1:
        return f"Its input is {listed[0]}."
    return f"The model '{model.name}' has {len(listed)} inputs: {', '.join(listed)}."


def shape_text(shape: Sequence[int | None]) -> str:
    """A shape in which sizes may be left open, as in "(any, 3)"."""
    return f"({', '.join('any' if size is None else str(size) for size in shape)})"


def _fit(tensor: Any, name: str, value: Any) -> Array:
    array = fixed_inputs.read(name, value)
    wanted = tuple(tensor.shape[1:])
    if None in wanted:
        array = array[0] if array.ndim == len(wanted) + 1 and len(array) == 1 else array
        fits = array.ndim == len(wanted) and all(
            size in (None, here) for size, here in zip(wanted, array.shape, strict=True)
        )
    else:
        # One row of a table, or a number, may have axes of length 1 more or fewer.
        fits = [size for size in array.shape if size != 1] == [size for size in wanted if size != 1]
    if not fits:
        several = (
            f"; give the values of one row, not of {len(array)}" if array.shape[1:] == wanted and len(array) > 1 else ""
        )
        count = 0 if None in wanted else math.prod(wanted)
        numbers = {0: "any number of them", 1: "one number"}.get(count, f"{count} numbers")
        raise UsageError(
            f"The input '{name}' takes numbers of shape {shape_text(wanted)}, {numbers}, but got {array.shape}{several}."
        )
    array = array.reshape(1, *(array.shape if None in wanted else wanted))
    if not any(kind in tensor.dtype for kind in ("float", "int", "bool")):
        raise ModelError(f"The input '{name}' takes {tensor.dtype}, which can't be fixed; only numbers can.")
    # What a type can't hold is looked for afterwards.
    with np.errstate(invalid="ignore", over="ignore"):
        made = array.astype("float32" if tensor.dtype == "bfloat16" else tensor.dtype)
    fine = bool(np.isfinite(made).all() if "float" in tensor.dtype else (made == array).all())
    if not fine:
        kind = "true or false (1 or 0)" if tensor.dtype == "bool" else f"numbers that {tensor.dtype} can hold"
        raise UsageError(f"The input '{name}' takes {kind}, but got {_shown(array)}.")
    return made


def _shown(array: Array) -> str:
    text = ", ".join(f"{value:g}" for value in array.ravel()[:6].tolist())
    return text + (", …" if array.size > 6 else "")
