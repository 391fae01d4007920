"""What a model file declares: how many layers, and how much memory they take, known before any of it is made."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from typing import Any

import keras

from cnnexplain import memory
from cnnexplain.errors import ModelError
from cnnexplain.modelconfig import OVERRIDE

CALLS = 3000
"""A file is refused whose layers are called more often, those of a nested model for each of its calls."""


def check_calls(config: Any) -> None:
    """Sees that a description has no more layers than a model needs.

    Raises:
        ModelError: It has. The message goes on after the name of the file.
    """
    number = _calls(config)
    if number > CALLS:
        raise ModelError(f"describes {min(number, 10**9):,} calls of layers, more than the {CALLS:,} that are allowed{OVERRIDE}")


def _calls(entry: Any) -> int:
    inner = entry.get("config") if isinstance(entry, dict) else None
    layers = inner if isinstance(inner, list) else inner.get("layers") if isinstance(inner, dict) else None
    if not isinstance(layers, list):
        return 1
    return sum(_calls(each) * _times(each) for each in layers)


def _times(entry: Any) -> int:
    nodes = entry.get("inbound_nodes") if isinstance(entry, dict) else None
    return max(len(nodes), 1) if isinstance(nodes, list) else 1


def check_memory(build: Callable[[], Any]) -> None:
    """Sees that a model and what it computes of one image fit into memory, without making its weights.

    Args:
        build: Builds the model, its weights not yet read.

    Raises:
        ModelError: They don't. The message goes on after the name of the file.
    """
    found: list[tuple[int, str, tuple[int, ...]]] = []

    def measure() -> None:
        # Variables that are made here have shapes and no values.
        with keras.StatelessScope(initialize_variables=False):
            try:
                found.extend(_needed(build()))
            # What can't be built is said when it is built in earnest.
            except Exception:  # noqa: BLE001
                return

    # Keras would fill these variables later, were they not those of another thread.
    thread = threading.Thread(target=measure)
    thread.start()
    thread.join()
    total, free = sum(size for size, _, _ in found), memory.free()
    if total > free:
        size, what, shape = max(found)
        raise ModelError(
            f"needs {memory.readable(total)} of memory for its weights and one image, {memory.readable(size)} of it for "
            f"{what} {shape!s:.60}, and {memory.readable(free)} are free{OVERRIDE}"
        )


def _needed(model: Any) -> Iterator[tuple[int, str, tuple[int, ...]]]:
    """The bytes, the name and the shape of each weight, and of each layer's output for one image, where known."""
    for weight in model.variables:
        # Reading a file takes each of them twice.
        yield 2 * _bytes(weight.shape, weight.dtype), f"the weights '{weight.path:.80}'", tuple(weight.shape)
    if getattr(model, "inputs", None):
        yield from _outputs(model, [tensor.shape for tensor in model.inputs])


def _outputs(model: Any, shapes: list[Any]) -> Iterator[tuple[int, str, tuple[int, ...]]]:
    found: list[tuple[int, str, tuple[int, ...]]] = []

    def called(layer: Any, *args: Any, **kwargs: Any) -> Any:
        output = layer(*args, **kwargs)
        tensors = [each for each in keras.tree.flatten((args, kwargs)) if keras.utils.is_keras_tensor(each)]
        if isinstance(layer, keras.Model) and getattr(layer, "inputs", None):
            found.extend(_outputs(layer, [tensor.shape for tensor in tensors]))
            return output
        for tensor in keras.tree.flatten(output):
            found.append((_bytes(tensor.shape, tensor.dtype), f"the outputs of layer '{layer.name:.80}'", tuple(tensor.shape)))
        if "Attention" in type(layer).__name__:
            scores = (*(math.prod(size or 1 for size in tensor.shape[1:-1]) for tensor in tensors[:2]),)
            scores = (getattr(layer, "num_heads", 1), scores[0], scores[-1])
            found.append((_bytes((None, *scores), "float32"), f"the scores of layer '{layer.name:.80}'", scores))
        return output

    inputs = [keras.Input(shape[1:], batch_size=shape[0], dtype=tensor.dtype) for shape, tensor in zip(shapes, model.inputs, strict=True)]
    found += [(_bytes(each.shape, each.dtype), "the input", tuple(each.shape)) for each in inputs]
    plain = keras.Model(model.inputs, model.outputs)
    keras.models.clone_model(plain, input_tensors=inputs, clone_function=lambda layer: layer, call_function=called)
    return iter(found)


def _bytes(shape: Any, dtype: Any) -> int:
    width = {"float64": 8, "int64": 8, "float16": 2, "bfloat16": 2, "uint8": 1, "int8": 1, "bool": 1}.get(str(dtype), 4)
    return math.prod(int(size) if size else 1 for size in shape) * width
