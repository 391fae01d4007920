"""A Keras network as a native PyTorch module with the same weights, channels first."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import torch
from torch import nn

from benchmarks.subject import Subject


class Network(nn.Module):  # type: ignore[misc]
    """The scores before the softmax; `layers` has the module of each Keras layer by name.

    Args:
        subject: The network; its layers must be among those of `_module`.
    """

    def __init__(self, subject: Subject) -> None:
        super().__init__()
        model = subject.linear
        self.layers = nn.ModuleDict({layer.name: _module(layer) for layer in model.layers[1:]})
        self._sources = {
            layer.name: [each._keras_history.operation.name for each in keras.tree.flatten(layer.input)]
            for layer in model.layers[1:]
        }
        self._input, self._output = model.layers[0].name, model.layers[-1].name
        self.eval().requires_grad_(requires_grad=False)

    def forward(self, x: Any) -> Any:
        """The scores (N, K) of images (N, C, H, W)."""
        outputs = {self._input: x}
        for name, layer in self.layers.items():
            outputs[name] = layer(*(outputs[source] for source in self._sources[name]))
        return outputs[self._output]


class _Same(nn.Module):  # type: ignore[misc]
    """Zeros around images, as Keras pads for "same": with strides, one less before the image than after it."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        rows, columns = (
            max((-(-side // stride) - 1) * stride + kernel - side, 0)
            for side, stride, kernel in zip(layer.input.shape[1:3], layer.strides, layer.kernel_size, strict=True)
        )
        self._padding = (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2)

    def forward(self, x: Any) -> Any:
        return nn.functional.pad(x, self._padding)


class _Add(nn.Module):  # type: ignore[misc]
    def forward(self, x: Any, y: Any) -> Any:
        return x + y


class _Flatten(nn.Module):  # type: ignore[misc]
    """In the order of Keras, channels last."""

    def forward(self, x: Any) -> Any:
        return x.permute(0, 2, 3, 1).flatten(1)


def _module(layer: Any) -> Any:
    match type(layer).__name__:
        case "Conv2D" | "DepthwiseConv2D" as kind:
            kernel = layer.get_weights()[0]
            depthwise = kind == "DepthwiseConv2D"
            kernel = kernel.transpose(2, 3, 0, 1) if depthwise else kernel.transpose(3, 2, 0, 1)
            channels = layer.input.shape[-1]
            convolution = nn.Conv2d(
                channels,
                kernel.shape[0],
                layer.kernel_size,
                layer.strides,
                groups=channels if depthwise else 1,
                bias=layer.use_bias,
            )
            _set(convolution, kernel, layer.get_weights()[1] if layer.use_bias else None)
            activation = [nn.ReLU()] if layer.activation.__name__ == "relu" else []
            return nn.Sequential(*([_Same(layer)] if layer.padding == "same" else []), convolution, *activation)
        case "BatchNormalization":
            gamma, beta, mean, variance = layer.get_weights()
            normalization = nn.BatchNorm2d(len(gamma), eps=layer.epsilon)
            _set(normalization, gamma, beta)
            normalization.running_mean.copy_(torch.from_numpy(mean))
            normalization.running_var.copy_(torch.from_numpy(variance))
            return normalization
        case "Dense":
            kernel, bias = layer.get_weights()
            dense = nn.Linear(*kernel.shape)
            _set(dense, kernel.T, bias)
            return nn.Sequential(dense, nn.ReLU()) if layer.activation.__name__ == "relu" else dense
        case "ReLU":
            return nn.ReLU() if layer.max_value is None else nn.Hardtanh(0, layer.max_value)
        case "MaxPooling2D":
            return nn.MaxPool2d(layer.pool_size, layer.strides)
        case "GlobalAveragePooling2D":
            return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        case "Flatten":
            return _Flatten()
        case "Add":
            return _Add()
        case kind:
            raise ValueError(f"No PyTorch module for the layer '{layer.name}' ({kind}).")


def _set(module: Any, weight: np.ndarray, bias: np.ndarray | None) -> None:
    with torch.no_grad():
        module.weight.copy_(torch.from_numpy(np.ascontiguousarray(weight)))
        if bias is not None:
            module.bias.copy_(torch.from_numpy(bias))
