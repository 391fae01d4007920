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


def _conv(layer: Any, x: Any, padding: str) -> Any:
    return keras.ops.conv(x, layer.kernel, **_window(layer, padding))


def _depthwise(layer: Any, x: Any, padding: str) -> Any:
    return keras.ops.depthwise_conv(x, layer.kernel, **_window(layer, padding))


def _separable(layer: Any, x: Any, padding: str) -> Any:
    return keras.ops.separable_conv(x, layer.depthwise_kernel, layer.pointwise_kernel, **_window(layer, padding))


def _window(layer: Any, padding: str) -> dict[str, Any]:
    return {
        "strides": tuple(layer.strides),
        "padding": padding,
        "dilation_rate": tuple(layer.dilation_rate),
        "data_format": layer.data_format,
    }


PRODUCTS: dict[Any, Callable[[Any, Any, str], Any]] = {
    keras.layers.Dense: lambda layer, x, _: keras.ops.matmul(x, layer.kernel),
    keras.layers.Conv2D: _conv,
    keras.layers.DepthwiseConv2D: _depthwise,
    keras.layers.SeparableConv2D: _separable,
}
"""How the layers that can have an activation of their own multiply their input by their weights."""


def linear_part(layer: Any, padding: str = "") -> Callable[[Any], Any] | None:
    """A layer without its activation, and with another padding if one is given; None if that is not known.

    A derived class, or a layer with quantized weights, may compute it in another way.
    """
    if getattr(layer, "quantization_mode", None) is not None or getattr(layer, "data_format", "") == "channels_first":
        return None
    product = PRODUCTS.get(type(layer))
    if product is None:
        return None
    used = padding or getattr(layer, "padding", "")
    return Linear(layer, lambda layer, x: product(layer, x, used))
