"""What a model file declares: how many layers, and how much memory they take, known before any of it is made."""

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

CALLS = 3000
"""A file is refused whose layers are called more often, those of a nested model for each of its calls."""

PLAY = 100_000
"""How many weights more than numbers a file may lack before it is said without building the model."""


def check_calls(config: Any) -> None:
    """Sees that a description has no more layers than a model needs.

    Raises:
        ModelError: It has. The message goes on after the name of the file.
    """
    number = _calls(config)
    if number > CALLS:
        raise ModelError(
            f"describes {min(number, 10**9):,} calls of layers, more than the {CALLS:,} that are allowed{OVERRIDE}"
        )


def _calls(entry: Any) -> int:
    inner = entry.get("config") if isinstance(entry, dict) else None
    layers = inner if isinstance(inner, list) else inner.get("layers") if isinstance(inner, dict) else None
    if not isinstance(layers, list):
        return 1
    return sum(_calls(each) * _times(each) for each in layers)


def _times(entry: Any) -> int:
    nodes = entry.get("inbound_nodes") if isinstance(entry, dict) else None
    return max(len(nodes), 1) if isinstance(nodes, list) else 1


def check_memory(build: Callable[[], Any], numbers: int) -> bool:
    """Sees that a model and what it computes of one image fit into memory, without making its weights.

    Args:
        build: Builds the model, its weights not yet read.
        numbers: How many numbers the file holds for them.

    Returns:
        Whether it could be built so. What can't be, and may all the same in earnest, is to be built within `guarded`.

    Raises:
        ModelError: They don't, or the file lacks most of them. The message goes on after the name of the file.
    """
    needed: list[int] = []

    def measured() -> list[_Array]:
        # Variables that are made here have shapes and no values.
        with keras.StatelessScope(initialize_variables=False):
            model = build()
            needed.append(sum(math.prod(map(int, each.shape)) for each in model.variables))
            # A file and its contents are in memory at once.
            weights = [_Array(2 * _bytes(each), f"the weights '{each.path:.80}'", each.shape) for each in model.variables]
            return weights + (
                _outputs(model, [each.shape for each in model.inputs]) if getattr(model, "inputs", None) else []
            )

    found, error = _apart(measured)
    _check(found)
    # Packed weights, and those that no file has, are no reason to refuse one.
    if needed and needed[0] > 2 * numbers + PLAY:
        raise _lacking(needed[0], numbers)
    return error is None


def _lacking(needed: int, numbers: int) -> ModelError:
    return ModelError(f"is damaged: its layers have {needed:,} weights, but it holds {numbers:,} numbers.")


_one_at_a_time = threading.RLock()


@contextmanager
def guarded(numbers: int) -> Iterator[None]:
    """Sees in the block that no more weights are made than a file can fill, each of them before it is made.

    What is built until an error shows takes memory too.

    Args:
        numbers: How many numbers the file holds for them.

    Raises:
        ModelError: There are more. The message goes on after the name of the file.
    """
    kind, thread = keras.Variable, threading.get_ident()
    make, own = kind.__init__, "__init__" in vars(kind)
    made, refused = 0, []

    def counting(self: Any, initializer: Any, shape: Any = None, *args: Any, **kwargs: Any) -> None:
        nonlocal made
        if threading.get_ident() == thread and isinstance(shape, list | tuple):
            made += math.prod(side for side in shape if isinstance(side, int))
            if made > 2 * numbers + PLAY:
                refused.append(_lacking(made, numbers))
                raise refused[0]
        make(self, initializer, shape, *args, **kwargs)

    with _one_at_a_time:
        kind.__init__ = counting
        try:
            yield
        # Keras writes around whatever is raised while it builds.
        except Exception as error:
            check_interrupted(error)
            if refused:
                raise refused[0] from error
            raise
        finally:
            if own:
                kind.__init__ = make
            else:
                del kind.__init__


def check_image(model: Any, name: str, height: int, width: int) -> None:
    """Sees that what a model with an input of open size computes of one image of this size fits into memory.

    Raises:
        ModelError: It doesn't.
    """
    if len(getattr(model, "inputs", None) or ()) != 1 or None not in model.inputs[0].shape[1:3]:
        return
    shape = (None, height, width, *model.inputs[0].shape[3:])
    try:
        _check(_apart(lambda: _outputs(model, [shape]))[0])
    except ModelError as error:
        raise ModelError(f"'{name}' {error}") from error


class _Array(NamedTuple):
    """What takes memory: its bytes, what it is, and its shape."""

    size: int
    what: str
    shape: tuple[int | None, ...]


def _apart(measure: Callable[[], list[_Array]]) -> tuple[list[_Array], Exception | None]:
    """What is measured in a thread of its own: Keras fills a thread's variables later, were there none for them then.

    Returns:
        What was measured, nothing where it failed; and what it failed with.
    """
    found: list[_Array] = []
    failed: list[Exception] = []

    def run() -> None:
        try:
            found.extend(measure())
        except Exception as error:  # noqa: BLE001
            check_interrupted(error)
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return found, failed[0] if failed else None


def _check(arrays: list[_Array]) -> None:
    total, free = sum(each.size for each in arrays), memory.free()
    if total > free:
        size, what, shape = max(arrays, key=lambda each: each.size)
        raise ModelError(
            f"needs {memory.readable(total)} of memory for its weights and one image, {memory.readable(size)} of it for "
            f"{what} {_shown(shape)}, and {memory.readable(free)} are free{OVERRIDE}"
        )


def _shown(shape: tuple[int | None, ...]) -> str:
    return f"({', '.join('N' if side is None else f'{side:.6g}' if side >= 10**9 else str(side) for side in shape)})"[:80]


def _outputs(model: Any, shapes: list[Any]) -> list[_Array]:
    """The outputs of every layer for one image."""
    found: list[_Array] = []

    def called(layer: Any, *args: Any, **kwargs: Any) -> Any:
        output = layer(*args, **kwargs)
        given = [each for each in keras.tree.flatten((args, kwargs)) if keras.utils.is_keras_tensor(each)]
        if isinstance(layer, keras.Model) and getattr(layer, "inputs", None):
            found.extend(_outputs(layer, [tensor.shape for tensor in given]))
            return output
        of = f"layer '{layer.name:.80}'"
        found.extend(_Array(_bytes(each), f"the output of {of}", each.shape) for each in keras.tree.flatten(output))
        if "Attention" in type(layer).__name__:
            # One number for each place in the one and each in the other.
            places = [math.prod(size or 1 for size in tensor.shape[1:-1]) for tensor in (given[0], given[-1])]
            scores = keras.KerasTensor((None, getattr(layer, "num_heads", 1), *places))
            found.append(_Array(_bytes(scores), f"the attention of {of}", scores.shape))
        return output

    inputs = [
        keras.Input(shape[1:], batch_size=shape[0], dtype=tensor.dtype)
        for shape, tensor in zip(shapes, model.inputs, strict=True)
    ]
    # An image is prepared, explained and drawn.
    found.extend(_Array(4 * _bytes(each), "the input", each.shape) for each in inputs)
    plain = keras.Model(model.inputs, model.outputs)
    keras.models.clone_model(plain, input_tensors=inputs, clone_function=lambda layer: layer, call_function=called)
    return found


WIDTHS = {"float64": 8, "int64": 8, "uint64": 8, "float16": 2, "bfloat16": 2, "uint8": 1, "int8": 1, "bool": 1}
"""The bytes of a number, where they are not 4."""


def _bytes(tensor: Any) -> int:
    return math.prod(1 if size is None else int(size) for size in tensor.shape) * WIDTHS.get(str(tensor.dtype), 4)
