"""The inputs of a model: the image to explain, and the fixed values of all others."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from cnnexplain.errors import ModelError, UsageError, suggest
from cnnexplain.model.structure import fixed_inputs
from cnnexplain.model.structure.subclassed import no_graph

if TYPE_CHECKING:
    from jaxtyping import Shaped


@dataclass(frozen=True)
class Inputs:
    """Which input of a model is the image, and the values of the others.

    Args:
        image: The index of the image among the inputs.
        name: The name of the image.
        fixed: The values of each other input by its index, (1, …) in its type.
        names: The names of the other inputs by their indices.
        flat: Whether the model takes the image as (H, W), without a channel axis.
    """

    image: int = 0
    name: str = ""
    fixed: Mapping[int, Shaped[np.ndarray, "1 ..."]] = field(default_factory=dict)
    names: Mapping[int, str] = field(default_factory=dict)
    flat: bool = False

    @property
    def described(self) -> dict[str, Any]:
        """For JSON; empty for a model whose only input is the image."""
        if not self.fixed:
            return {}
        return {
            "input": self.name,
            "fixed": fixed_inputs.described({self.names[index]: value for index, value in self.fixed.items()}),
        }

    def __str__(self) -> str:
        """The fixed values as text, such as "age = 58; mask of shape (8, 8)"; "" if there are none."""
        parts = []
        for index, value in self.fixed.items():
            numbers = ", ".join(f"{each:g}" for each in value.ravel().tolist())
            several = value.size > fixed_inputs.FEW
            parts.append(f"{self.names[index]} {f'of shape {value.shape[1:]}' if several else f'= {numbers}'}")
        return "; ".join(parts)

    def arguments(self, image: Any) -> list[Any]:
        """The list of the model's inputs for a batch of images (N, H, W, C)."""
        count = keras.ops.shape(image)[0]
        image = keras.ops.squeeze(image, -1) if self.flat else image
        return [image if index == self.image else repeated(self.fixed[index], count) for index in range(1 + len(self.fixed))]


IMAGE = Inputs()
"""The inputs of a model whose only input is the image."""


def repeated(value: Shaped[np.ndarray, "1 ..."], count: Any) -> Any:
    """(1, …) as (count, …); `count` may be a tensor whose value is known only when the graph runs."""
    return keras.ops.broadcast_to(keras.ops.convert_to_tensor(value), (count, *value.shape[1:]))


def resolve_inputs(model: Any, wanted: str | None, values: Mapping[str, Any]) -> Inputs:
    """Determines which input is the image, and the values of all others.

    Args:
        model: A Keras model with a graph.
        wanted: The name of the image; None for the only input without a fixed value.
        values: The values of the other inputs by name, as for `fixed_inputs.read`.

    Raises:
        UsageError: An input does not exist, values have another shape or type, or an input has no value.
        ModelError: The model has no graph, or an input has a type that cannot be fixed.
    """
    if not getattr(model, "inputs", None) or not getattr(model, "outputs", None):
        raise no_graph(model)
    names = _names(model)
    indices = {name: index for index, synonyms in enumerate(names) for name in synonyms}
    for name in [*([] if wanted is None else [wanted]), *values]:
        if name not in indices:
            raise UsageError(
                f"The model '{model.name}' has no input '{str(name)[:60]}'.{suggest(str(name)[:60], indices)} {_all(model)}"
            )
    given = {indices[name]: name for name in values}
    left = [index for index in range(len(names)) if index not in given]
    image = indices[wanted] if wanted is not None else left[0] if len(left) == 1 else None
    if image in given:
        raise UsageError(f"The input '{wanted}' is the image to explain, and can't be fixed as well.")
    if not left:
        raise UsageError(f"All inputs of the model '{model.name}' are fixed; leave out the image to explain.")
    if image is None or len(left) > 1:
        # An input without rows and columns is certainly not the image.
        others = [index for index in reversed(left) if index != image]
        others.sort(key=lambda index: len(model.inputs[index].shape) in (3, 4))
        example = names[others[0]][0]
        which = "all but the image to explain" if image is None else f"'{example}'"
        raise UsageError(
            f"{_all(model)} Give values to {which}, such as --fixed {example}=NUMBERS or {example}=FILE "
            f"(fixed={{'{example}': …}})."
        )
    fixed = {index: _fit(model.inputs[index], names[index][0], values[name]) for index, name in given.items()}
    flat = len(model.inputs[image].shape) == 3
    return Inputs(image, names[image][0], fixed, {index: names[index][0] for index in given}, flat)


def check_shape(model: Any, inputs: Inputs, declared: tuple[int, int, int]) -> None:
    """Checks that a model takes images of the declared shape (H, W, C).

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
    """The names of each input: its key, if the model takes a dictionary, and its own name."""
    structure = getattr(model, "input", None)
    keys = {id(tensor): str(key) for key, tensor in structure.items()} if isinstance(structure, Mapping) else {}
    return [
        list(dict.fromkeys([*([keys[id(tensor)]] if id(tensor) in keys else []), tensor.name])) for tensor in model.inputs
    ]


def _all(model: Any) -> str:
    listed = [
        f"{synonyms[0]} {shape_text(tensor.shape[1:])}" for synonyms, tensor in zip(_names(model), model.inputs, strict=True)
    ]
    if len(listed) == 1:
        return f"Its input is {listed[0]}."
    return f"The model '{model.name}' has {len(listed)} inputs: {', '.join(listed)}."


def shape_text(shape: Sequence[int | None]) -> str:
    """A shape as text, with "any" for open sizes, as in "(any, 3)"."""
    return f"({', '.join('any' if size is None else str(size) for size in shape)})"


def _fit(tensor: Any, name: str, value: Any) -> Shaped[np.ndarray, "1 ..."]:
    """The value of an input as an array in its shape and type."""
    array = fixed_inputs.read(name, value)
    wanted = tuple(tensor.shape[1:])
    if None in wanted:
        array = array[0] if array.ndim == len(wanted) + 1 and len(array) == 1 else array
        fits = array.ndim == len(wanted) and all(
            expected in (None, size) for expected, size in zip(wanted, array.shape, strict=True)
        )
    else:
        # A row of a table, or a number, may have more or fewer axes of length 1.
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
    # Values that the type cannot represent are detected afterwards.
    with np.errstate(invalid="ignore", over="ignore"):
        converted = array.astype("float32" if tensor.dtype == "bfloat16" else tensor.dtype)
    exact = bool(np.isfinite(converted).all() if "float" in tensor.dtype else (converted == array).all())
    if not exact:
        kind = "true or false (1 or 0)" if tensor.dtype == "bool" else f"numbers that {tensor.dtype} can hold"
        raise UsageError(f"The input '{name}' takes {kind}, but got {_shown(array)}.")
    return converted


def _shown(array: Shaped[np.ndarray, " ..."]) -> str:
    text = ", ".join(f"{value:g}" for value in array.ravel()[:6].tolist())
    return text + (", …" if array.size > 6 else "")
