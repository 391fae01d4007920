"""What the limits need of PyTorch: gradients. Nothing is compiled, which would need a C++ compiler."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import torch

# The precision of float32 on GPUs, as on a CPU.
torch.backends.cudnn.allow_tf32 = False


def compiled(function: Callable[..., Any], variables: Sequence[Any] = ()) -> Callable[..., Any]:
    """A function of tensors that reads Keras variables; it takes and returns arrays."""

    def call(*arrays: Any) -> Any:
        # Detached, since PyTorch would keep the inputs of all layers for the gradients of the variables.
        values = [(variable, variable.value.detach()) for variable in variables]
        with torch.no_grad(), keras.StatelessScope(state_mapping=values):
            outputs = function(*(keras.ops.convert_to_tensor(array) for array in arrays))
        return keras.tree.map_structure(keras.ops.convert_to_numpy, outputs)

    return call


def repeated(step: Callable[[Any], Any], steps: int, variables: Sequence[Any] = ()) -> Callable[[Any], Any]:
    """A step that is applied again and again; the tensors stay on the device."""

    def loop(x: Any) -> Any:
        for _ in range(steps):
            x = step(x)
        return x

    return compiled(loop, variables)


def gradient(function: Callable[[Any], tuple[Any, Any]], x: Any) -> tuple[Any, Any, Any]:
    """function(x) = (values, others), and the gradient of the sum of the values."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        values, others = function(x)
        (slope,) = torch.autograd.grad(values.sum(), x)
    return values, others, slope


def stage_gradients(
    stages: Sequence[Callable[[Any], Any]], score: Callable[[Any], tuple[Any, Any]], x: Any
) -> tuple[Any, list[Any], list[Any]]:
    """The others of score(last output) = (values, others), the outputs of consecutive stages, and the gradients there."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        outputs = []
        for stage in stages:
            x = stage(x)
            outputs.append(x)
        values, others = score(x)
        slopes = torch.autograd.grad(values.sum(), outputs)
    return others, outputs, list(slopes)


def with_pull(function: Callable[[Any], Any], pull: Callable[[Any, Any], Any]) -> Callable[[Any], Any]:
    """`function` with another pull-back: the pull-back at x of a signal is pull(x, signal)."""

    class Pulled(torch.autograd.Function):  # type: ignore[misc]
        @staticmethod
        def forward(context: Any, x: Any) -> Any:
            context.save_for_backward(x)
            return function(x)

        @staticmethod
        def backward(context: Any, signal: Any) -> Any:
            (x,) = context.saved_tensors
            return pull(x, signal)

    return Pulled.apply  # type: ignore[no-any-return]
