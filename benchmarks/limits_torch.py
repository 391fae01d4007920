"""What the limits need of PyTorch: gradients. Nothing is compiled, which would need a C++ compiler."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import torch


def compiled(function: Callable[..., Any], _: Sequence[Any] = ()) -> Callable[..., Any]:
    """A function of tensors that takes and returns arrays."""

    def call(*arrays: Any) -> Any:
        with torch.no_grad():
            outputs = function(*(keras.ops.convert_to_tensor(array) for array in arrays))
        return keras.tree.map_structure(keras.ops.convert_to_numpy, outputs)

    return call


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
