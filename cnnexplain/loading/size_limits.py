"""Checks the number of layers and the memory that an untrusted model file declares, before anything is allocated."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import keras

from cnnexplain.errors import ModelError
from cnnexplain.interruption import check_interrupted
from cnnexplain.loading import memory
from cnnexplain.loading.stored_weights import OVERRIDE

MAX_CALLS = 3000
"""Files with more calls of layers are rejected. Layers of a nested model count for each of its calls."""

SLACK = 100_000
"""A file may lack this many weights before it is rejected without building the model."""


def check_calls(config: Any) -> None:
    """Checks that a description has no more layers than a model needs.

    Raises:
        ModelError: It has more. The message continues after the name of the file.
    """
    number = _calls(config)
    if number > MAX_CALLS:
        raise ModelError(
            f"describes {min(number, 10**9):,} calls of layers, more than the maximum of {MAX_CALLS:,}{OVERRIDE}"
        )


def _calls(entry: Any) -> int:
    inner = entry.get("config") if isinstance(entry, dict) else None
    layers = inner if isinstance(inner, list) else inner.get("layers") if isinstance(inner, dict) else None
    if not isinstance(layers, list):
        return 1
    return sum(_calls(layer) * _repetitions(layer) for layer in layers)


def _repetitions(entry: Any) -> int:
    nodes = entry.get("inbound_nodes") if isinstance(entry, dict) else None
    return max(len(nodes), 1) if isinstance(nodes, list) else 1


def check_memory(build: Callable[[], Any], numbers: int) -> bool:
    """Checks that the weights of a model and its outputs for one image fit into memory, without allocating them.

    Args:
        build: Builds the model, without reading its weights.
        numbers: The number of weights in the file.

    Returns:
        Whether the model could be built without allocating it. If not, build it within `guarded`.

    Raises:
        ModelError: They do not fit, or the file lacks most weights. The message continues after the name of the file.
    """
    needed: list[int] = []

    def measure() -> list[_Array]:
        # Variables created here have shapes, but no values.
        with keras.StatelessScope(initialize_variables=False):
            model = build()
            needed.append(sum(math.prod(map(int, variable.shape)) for variable in model.variables))
            # The file and the weights are in memory at the same time.
            weights = [
                _Array(2 * _bytes(variable), f"the weights '{variable.path:.80}'", variable.shape)
                for variable in model.variables
            ]
            has_inputs = getattr(model, "inputs", None)
            return weights + (_outputs(model, [tensor.shape for tensor in model.inputs]) if has_inputs else [])

    arrays, error = _in_thread(measure)
    _check(arrays)
    # Packed weights, and weights that files do not contain, are not a reason to reject a file.
    if needed and needed[0] > 2 * numbers + SLACK:
        raise _too_few(needed[0], numbers)
    return error is None


def _too_few(needed: int, numbers: int) -> ModelError:
    return ModelError(f"is damaged: its layers have {needed:,} weights, but it contains {numbers:,} numbers.")


_one_at_a_time = threading.RLock()


@contextmanager
def guarded(numbers: int) -> Iterator[None]:
    """A context in which no more weights are created than a file can fill. Weights are counted before they are allocated.

    A model that can't be built allocates memory until the error occurs.

    Args:
        numbers: The number of weights in the file.

    Raises:
        ModelError: There are more weights. The message continues after the name of the file.
    """
    variable_class, thread = keras.Variable, threading.get_ident()
    construct, has_own = variable_class.__init__, "__init__" in vars(variable_class)
    created, errors = 0, []

    def counting(self: Any, initializer: Any, shape: Any = None, *args: Any, **kwargs: Any) -> None:
        nonlocal created
        if threading.get_ident() == thread and isinstance(shape, list | tuple):
            created += math.prod(side for side in shape if isinstance(side, int))
            if created > 2 * numbers + SLACK:
                errors.append(_too_few(created, numbers))
                raise errors[0]
        construct(self, initializer, shape, *args, **kwargs)

    with _one_at_a_time:
        variable_class.__init__ = counting
        try:
            yield
        # Keras wraps errors that are raised while it builds.
        except Exception as error:
            check_interrupted(error)
            if errors:
                raise errors[0] from error
            raise
        finally:
            if has_own:
                variable_class.__init__ = construct
            else:
                del variable_class.__init__


def check_image(model: Any, name: str, height: int, width: int) -> None:
    """Checks that the outputs of a model with an input of variable size fit into memory for one image of this size.

    Raises:
        ModelError: They do not fit.
    """
    if len(getattr(model, "inputs", None) or ()) != 1 or None not in model.inputs[0].shape[1:3]:
        return
    shape = (None, height, width, *model.inputs[0].shape[3:])
    try:
        _check(_in_thread(lambda: _outputs(model, [shape]))[0])
    except ModelError as error:
        raise ModelError(f"'{name}' {error}") from error


class _Array(NamedTuple):
    """An array that takes memory: its number of bytes, a description, and its shape."""

    size: int
    description: str
    shape: tuple[int | None, ...]


def _in_thread(measure: Callable[[], list[_Array]]) -> tuple[list[_Array], Exception | None]:
    """Measures in another thread, because Keras allocates variables without values later in the same thread.

    Returns:
        The arrays, none if an error was raised; and the error.
    """
    arrays: list[_Array] = []
    errors: list[Exception] = []

    def run() -> None:
        try:
            arrays.extend(measure())
        except Exception as error:  # noqa: BLE001
            check_interrupted(error)
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return arrays, errors[0] if errors else None


def _check(arrays: list[_Array]) -> None:
    total, free = sum(array.size for array in arrays), memory.free()
    if total > free:
        size, description, shape = max(arrays, key=lambda array: array.size)
        raise ModelError(
            f"needs {memory.readable(total)} of memory for its weights and one image, {memory.readable(size)} of it for "
            f"{description} {_shown(shape)}, but {memory.readable(free)} are free{OVERRIDE}"
        )


def _shown(shape: tuple[int | None, ...]) -> str:
    return f"({', '.join('N' if side is None else f'{side:.6g}' if side >= 10**9 else str(side) for side in shape)})"[:80]


def _outputs(model: Any, shapes: list[Any]) -> list[_Array]:
    """The outputs of every layer for one image."""
    arrays: list[_Array] = []

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        output = layer(*args, **kwargs)
        tensors = [each for each in keras.tree.flatten((args, kwargs)) if keras.utils.is_keras_tensor(each)]
        if isinstance(layer, keras.Model) and getattr(layer, "inputs", None):
            arrays.extend(_outputs(layer, [tensor.shape for tensor in tensors]))
            return output
        name = f"layer '{layer.name:.80}'"
        arrays.extend(_Array(_bytes(each), f"the output of {name}", each.shape) for each in keras.tree.flatten(output))
        if "Attention" in type(layer).__name__:
            # One score for each pair of positions.
            positions = [math.prod(size or 1 for size in tensor.shape[1:-1]) for tensor in (tensors[0], tensors[-1])]
            scores = keras.KerasTensor((None, getattr(layer, "num_heads", 1), *positions))
            arrays.append(_Array(_bytes(scores), f"the attention of {name}", scores.shape))
        return output

    inputs = [
        keras.Input(shape[1:], batch_size=shape[0], dtype=tensor.dtype)
        for shape, tensor in zip(shapes, model.inputs, strict=True)
    ]
    # Preprocessing, explaining and drawing need copies of the image.
    arrays.extend(_Array(4 * _bytes(each), "the input", each.shape) for each in inputs)
    plain = keras.Model(model.inputs, model.outputs)
    keras.models.clone_model(plain, input_tensors=inputs, clone_function=lambda layer: layer, call_function=call)
    return arrays


WIDTHS = {"float64": 8, "int64": 8, "uint64": 8, "float16": 2, "bfloat16": 2, "uint8": 1, "int8": 1, "bool": 1}
"""The bytes of a number, by type, if not 4."""


def _bytes(tensor: Any) -> int:
    return math.prod(1 if size is None else int(size) for size in tensor.shape) * WIDTHS.get(str(tensor.dtype), 4)
