"""The functions of `Backend` for PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import torch

from cnnexplain.backend import no_gradient
from cnnexplain.errors import ModelError

if TYPE_CHECKING:
    from jaxtyping import Float32

# Compilation with PyTorch requires a C++ compiler.
JIT = False

# Keras accepts no other value with PyTorch.
STEPS = 1

ANY_LENGTH = True

# Each operation is a call from Python, whether in a loop or not.
LOOPS_ON_CPU = False
SLOW_LOOPS_ON_CPU = False


def compiled(
    function: Callable[..., Sequence[Any]],
    shapes: Sequence[tuple[int, ...]],  # noqa: ARG001  # PyTorch computes eagerly.
    variables: Sequence[Any],
    constants: Sequence[tuple[int | None, ...]] = (),  # noqa: ARG001
) -> Callable[..., list[Float32[np.ndarray, "N ..."]]]:
    """`function` for float32 batches (N, *shape) and constants."""

    def call(*arrays: Any) -> list[Float32[np.ndarray, "N ..."]]:
        with _computing(variables), torch.no_grad():
            return [
                keras.ops.convert_to_numpy(tensor) for tensor in function(*(_tensor(np.asarray(array)) for array in arrays))
            ]

    return call


def value_and_gradient(function: Callable[..., Sequence[Any]]) -> Callable[..., list[Any]]:
    """(x, …) ↦ the values (N,), the gradient of each with respect to its own x, and other results of `function`."""

    def differentiated(x: Any, *arguments: Any) -> list[Any]:
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            values, *others = function(x, *arguments)
            if not values.requires_grad:
                raise no_gradient()
            (slope,) = torch.autograd.grad(values.sum(), x, allow_unused=True)
        if slope is None:
            raise no_gradient()
        return [each.detach() for each in (values, slope, *others)]

    return differentiated


def value_and_inner_gradients(
    function: Callable[..., Sequence[Any]],
    shapes: Sequence[tuple[int, ...]],
) -> Callable[..., list[Any]]:
    """(x, …) ↦ the values (N,), their gradients with respect to inner tensors, and other results of `function`."""

    def differentiated(*arguments: Any) -> list[Any]:
        inner: dict[int, Any] = {}

        def watch(number: int, tensor: Any) -> Any:
            # Integers have no gradient.
            if not tensor.is_floating_point():
                return tensor
            # A layer may return its input, whose gradient is another one if it has other uses.
            inner[number] = tensor.view_as(tensor) if tensor.requires_grad else tensor.detach().requires_grad_()
            return inner[number]

        with torch.enable_grad():
            values, *others = function(watch, *arguments)
            if not values.requires_grad:
                raise no_gradient()
            found = torch.autograd.grad(values.sum(), list(inner.values()), allow_unused=True, materialize_grads=True)
        slopes = dict(zip(inner, found, strict=True))
        gradients = (
            slopes[number] if number in slopes else values.new_zeros((len(values), *shape))
            for number, shape in enumerate(shapes)
        )
        return [each.detach() for each in (values, *gradients, *others)]

    return differentiated


def rows(table: Any, numbers: Any) -> Any:
    """The rows of a tensor (rows, C) with some numbers (…), which are not negative: (…, C)."""
    return table.index_select(0, numbers.reshape(-1)).reshape(*numbers.shape, -1)


def weighted_pixels(images: Any, numbers: Any, weights: Any) -> Any:
    """Σ_k weights[k, p] · images[:, numbers[k, p]], (N, P, C), for images (N, R, C), integers and weights (K, P)."""
    return sum(weights[k][:, None] * images.index_select(1, numbers[k]) for k in range(len(numbers)))


def with_pullback(function: Callable[[Any], Any], pull: Callable[[Any, Any], Any]) -> Callable[[Any], Any]:
    """`function` with another pull-back: the pull-back at x of a signal is pull(x, signal)."""

    class Pulled(torch.autograd.Function):  # type: ignore[misc]  # PyTorch is not type-checked.
        @staticmethod
        def forward(context: Any, x: Any) -> Any:
            context.save_for_backward(x)
            return function(x)

        @staticmethod
        def backward(context: Any, signal: Any) -> Any:
            (x,) = context.saved_tensors
            return pull(x, signal)

    return Pulled.apply  # type: ignore[no-any-return]


def devices() -> list[str]:
    """The devices that are available to PyTorch, such as "cpu:0"."""
    cuda = [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    return ["cpu:0", *cuda, *(["mps:0"] if torch.backends.mps.is_available() else [])]


def device_memory() -> int | None:
    """The free bytes on the GPU that Keras uses; None if it uses the CPU."""
    if not torch.cuda.is_available() or keras.ops.zeros(()).device.type != "cuda":
        return None
    free, _ = torch.cuda.mem_get_info()
    # Memory that PyTorch reserves for later tensors counts as used.
    return int(free + torch.cuda.memory_reserved() - torch.cuda.memory_allocated())


@contextmanager
def _computing(variables: Sequence[Any]) -> Iterator[None]:
    """Computes with the variables detached, since PyTorch would keep the inputs of all layers for their gradients."""
    values = [(variable, variable.value.detach()) for variable in variables]
    try:
        with keras.StatelessScope(state_mapping=values), _full_precision():
            yield
    # An error that names a layer has the layer's own error as its cause.
    except (RuntimeError, ModelError) as error:
        if _exhausted(error) or _exhausted(error.__cause__):
            raise MemoryError(str(error)) from error
        raise


def _exhausted(error: BaseException | None) -> bool:
    # On a CPU, PyTorch raises no specific error.
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


@contextmanager
def _full_precision() -> Iterator[None]:
    """Keeps a GPU from multiplying float32 numbers as TensorFloat-32, which has 10 bits of mantissa instead of 23."""
    settings = [torch.backends.cudnn, torch.backends.cuda.matmul] if torch.cuda.is_available() else []
    before = [each.allow_tf32 for each in settings]
    try:
        for each in settings:
            each.allow_tf32 = False
        yield
    finally:
        for each, allowed in zip(settings, before, strict=True):
            each.allow_tf32 = allowed


def _tensor(array: Any) -> Any:
    # A copy, since PyTorch must not write to the caller's array, and warns if the array is read-only.
    return keras.ops.convert_to_tensor(np.array(array, np.float32))
