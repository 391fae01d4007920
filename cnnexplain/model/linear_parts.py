"""The part of a layer before its activation: the product with its weights and the bias."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import keras


class Linear:
    """Computes a layer without its activation, with the layer's own weights and precision."""

    def __init__(self, layer: Any, product: Callable[[Any, Any], Any]) -> None:
        self._layer, self._product = layer, product

    def __call__(self, x: Any) -> Any:
        """The product of x and the layer's weights, plus its bias."""
        return self._computed(x)

    @cached_property
    def _computed(self) -> Any:
        # Made at the first call, since it takes Keras a third of a millisecond to make a layer.
        return _LinearLayer(self._layer, self._product)


class _LinearLayer(keras.Layer):  # type: ignore[misc]
    def __init__(self, layer: Any, product: Callable[[Any, Any], Any]) -> None:
        super().__init__(name=f"linear_{layer.name}", dtype=layer.dtype_policy)
        self.layer, self.product = layer, product

    def call(self, x: Any) -> Any:
        y = self.product(self.layer, x)
        return y if self.layer.bias is None else keras.ops.add(y, self.layer.bias)


def _conv(layer: Any, x: Any) -> Any:
    return keras.ops.conv(x, layer.kernel, **_window(layer))


def _depthwise(layer: Any, x: Any) -> Any:
    return keras.ops.depthwise_conv(x, layer.kernel, **_window(layer))


def _separable(layer: Any, x: Any) -> Any:
    return keras.ops.separable_conv(x, layer.depthwise_kernel, layer.pointwise_kernel, **_window(layer))


def _window(layer: Any) -> dict[str, Any]:
    return {
        "strides": tuple(layer.strides),
        "padding": layer.padding,
        "dilation_rate": tuple(layer.dilation_rate),
        "data_format": layer.data_format,
    }


PRODUCTS: dict[Any, Callable[[Any, Any], Any]] = {
    keras.layers.Dense: lambda layer, x: keras.ops.matmul(x, layer.kernel),
    keras.layers.Conv2D: _conv,
    keras.layers.DepthwiseConv2D: _depthwise,
    keras.layers.SeparableConv2D: _separable,
}
"""How the layers that can have an activation of their own multiply their input by their weights."""


def linear_part(layer: Any) -> Callable[[Any], Any] | None:
    """A layer without its activation; None if that is not known.

    A derived class, or a layer with quantized weights, may compute it in another way.
    """
    if getattr(layer, "quantization_mode", None) is not None or getattr(layer, "data_format", "") == "channels_first":
        return None
    product = PRODUCTS.get(type(layer))
    return None if product is None else Linear(layer, product)
