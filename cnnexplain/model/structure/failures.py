"""Finds which layer of a model fails, by computing the model again, layer by layer, after something has failed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import keras

from cnnexplain import backend
from cnnexplain.errors import CnnExplainError, ModelError, line, reason
from cnnexplain.interruption import check_interrupted
from cnnexplain.model.structure.graph import LOGITS, Call, Graph
from cnnexplain.model.structure.inference import run_isolated

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float

Shape: TypeAlias = tuple[int | None, ...] | None
"""The shape of an output for one image; None for a scalar."""


@contextmanager
def naming_layers(graph: Graph, image: Float[np.ndarray, "1 H W C"], variables: Any) -> Iterator[None]:
    """A context for computations of a model: errors raised by one of its layers become errors that name the layer.

    Ctrl-C, the package's own errors, `MemoryError`, and errors that no layer raises pass unchanged.

    Args:
        graph: The model's graph.
        image: (1, H, W, C), one of the images, or a gray one.
        variables: The variables of the model.

    Raises:
        ModelError: A layer fails in the forward pass, or its gradient fails.
    """
    try:
        yield
    except BaseException as error:
        # The layer that fails may not be the cause: the one before may return another shape than it declares.
        passes = isinstance(error, MemoryError) or (isinstance(error, CnnExplainError) and not isinstance(error, ModelError))
        check_interrupted(error)
        if passes:
            raise
        located = _located(graph, image, variables, error)
        if located is None:
            raise
        raise located from error


def _located(graph: Graph, image: Float[np.ndarray, "1 H W C"], variables: Any, error: BaseException) -> ModelError | None:
    try:
        check_shapes(graph, image)
        suspects = _failing_gradients(graph, image, variables)
    except ModelError as located:
        return located
    except BaseException as other:  # noqa: BLE001
        check_interrupted(other)
        return None
    if not suspects:
        return None
    names = " or ".join(f"'{line(each)}'" for each in suspects)
    return ModelError(f"The gradient of the layer {names} fails: {reason(error)}")


def check_shapes(graph: Graph, image: Float[np.ndarray, "1 H W C"]) -> None:
    """Computes a model layer by layer, to name the layer that fails.

    Raises:
        ModelError: A layer fails, or returns another shape than it declares.
    """

    def checked(call: Call) -> Callable[..., Any]:
        def function(*args: Any, **kwargs: Any) -> Any:
            output = call.function(*args, **kwargs)
            shapes, declared = (
                [tuple(shape[1:]) if shape else None for shape in map(_shape, keras.tree.flatten(each))]
                for each in (output, call.output)
            )
            if not _fit(shapes, declared):
                raise ModelError(
                    f"The layer '{line(call.name)}' ({line(type(call.inner).__name__)}) returns {_written(shapes)}, but "
                    f"declares {_written(declared)}."
                )
            return output

        return function

    run_isolated(lambda: graph.function([LOGITS], checked)(keras.ops.convert_to_tensor(image)))


def _shape(tensor: Any) -> tuple[int | None, ...]:
    # A layer may return a Python number.
    return tuple(getattr(tensor, "shape", ()))


def _fit(shapes: Sequence[Shape], declared: Sequence[Shape]) -> bool:
    """Whether the shapes of outputs are as declared; None represents a scalar, or an axis of any size."""
    if len(shapes) != len(declared):
        return False
    for shape, expected in zip(shapes, declared, strict=True):
        if shape is None or expected is None or len(shape) != len(expected):
            return shape == expected
        if any(size not in (None, given) for size, given in zip(expected, shape, strict=True)):
            return False
    return True


def _written(shapes: Sequence[Shape]) -> str:
    if len(shapes) != 1:
        return f"{len(shapes)} tensors"
    return "a single number" if shapes[0] is None else f"(N{''.join(f', {size}' for size in shapes[0])})"


def _failing_gradients(graph: Graph, image: Float[np.ndarray, "1 H W C"], variables: Any) -> list[str]:
    """The names of the layers one of whose gradients fails; empty if none does.

    The gradient of the scores can be computed with respect to the outputs of later layers, but not of earlier ones; the
    boundary is found by bisection.
    """
    names = [name for name in graph.names if graph.tensors[name].dtype.startswith(("float", "bfloat"))]
    fine, broken = len(names), -1
    while fine - broken > 1:
        middle = (fine + broken) // 2
        if _fails(graph, names[middle], image, variables):
            broken = middle
        else:
            fine = middle
    start = graph.input if broken < 0 else graph.tensors[names[broken]]
    failed = broken >= 0 or _fails(graph, None, image, variables)
    return list(dict.fromkeys(call.name for call in graph.consumers(start))) if failed else []


def _fails(graph: Graph, name: str | None, image: Float[np.ndarray, "1 H W C"], variables: Any) -> bool:
    """Whether the gradient of the scores with respect to a layer's output, or to the input, cannot be computed."""
    from_input = graph.function([LOGITS])
    tail = None if name is None else graph.tail(name, [LOGITS])
    if name is not None and tail is None:
        return False

    def value(x: Any, *others: Any) -> list[Any]:
        (scores,) = from_input(x) if tail is None else tail(x, *others)
        return [keras.ops.sum(keras.ops.cast(scores, "float32"), axis=1)]

    arguments: list[Float[np.ndarray, " ..."]] = [image]
    if name is not None:
        output = run_isolated(lambda: graph.function([name])(keras.ops.convert_to_tensor(image)))[0]
        arguments = [keras.ops.convert_to_numpy(keras.ops.cast(output, "float32")), image]
    try:
        differentiated = backend.current().value_and_gradient(value)
        backend.current().compiled(differentiated, [array.shape[1:] for array in arguments], variables)(*arguments)
    except ModelError:
        return False
    except BaseException as error:  # noqa: BLE001
        check_interrupted(error)
        return True
    return False
