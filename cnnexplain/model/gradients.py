"""Gradients of objectives with respect to images and to the outputs of layers.

An objective is a weighted sum of the outputs of layers (`objectives.output_weights`). The weights are arguments of the
compiled functions, so that objectives that read the same layers share these.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from cnnexplain.errors import UsageError
from cnnexplain.model.backward_rules import backward
from cnnexplain.model.layer_outputs import layer_outputs
from cnnexplain.model.layers import Layer
from cnnexplain.model.model_inputs import shape_text
from cnnexplain.model.network import Compiled, Network
from cnnexplain.model.relu_override import relu_override

if TYPE_CHECKING:
    from jaxtyping import Float, Float32


def values(
    network: Network,
    images: Float[np.ndarray, "N H W C"],
    names: tuple[str, ...],
    weights: Sequence[Float32[np.ndarray, "N ..."]],
) -> Float32[np.ndarray, " N"]:
    """Σ weights · outputs of the layers, (N,)."""
    outputs = network.compute(network.outputs(names), images)
    products = zip(outputs, weights, strict=True)
    total = sum((output * weight).reshape(len(images), -1).sum(axis=1) for output, weight in products)
    return np.asarray(total, np.float32)


def image_gradient(
    network: Network,
    images: Float[np.ndarray, "N H W C"],
    names: tuple[str, ...],
    weights: Sequence[Float32[np.ndarray, "N ..."]],
) -> Float32[np.ndarray, "N H W C"]:
    """The gradient of Σ weights · outputs with respect to the images, (N, H, W, C)."""

    def build() -> Compiled:
        return network.gradient(weighted_sum(network.graph.function(names)), [network.shape, *_shapes(weights)])

    _, gradient = network.compute(network.compiled(("gradient", *names), build), images, *weights)
    return gradient


def layer_gradient(
    network: Network,
    images: Float[np.ndarray, "N H W C"],
    layer: Layer,
    names: tuple[str, ...],
    weights: Sequence[Float32[np.ndarray, "N ..."]],
) -> tuple[Float32[np.ndarray, " N"], Float32[np.ndarray, " N *shape"], Float32[np.ndarray, " N *shape"]]:
    """The values (N,) of Σ weights · outputs, the output of a layer, and the gradients with respect to it.

    Raises:
        UsageError: The values do not depend on the layer.
    """

    def build() -> Compiled:
        tail = network.graph.tail(layer.name, names)
        if tail is None:
            raise UsageError(
                f"The target does not depend on the layer '{layer.name}'; name one that leads to {' and '.join(names)}."
            )

        def value(output: Any, x: Any, *weights: Any) -> Any:
            return sum(weighted(each, weight) for each, weight in zip(tail(output, x), weights, strict=True))

        return network.gradient(value, [layer.shape, network.shape, *_shapes(weights)])

    pull = network.compiled(("layer gradient", layer.name, *names), build)
    outputs = layer_outputs(network, images, [layer])[layer.name]
    values, gradient = network.compute(lambda x, output, *others: pull(output, x, *others), images, outputs, *weights)
    return values, outputs, gradient


def layer_gradients(
    network: Network,
    images: Float[np.ndarray, "N H W C"],
    layers: Sequence[Layer],
    names: tuple[str, ...],
    weights: Sequence[Float32[np.ndarray, "N ..."]],
) -> tuple[Float32[np.ndarray, " N"], dict[str, Float32[np.ndarray, "N ..."]]]:
    """The values (N,) of Σ weights · outputs, and the gradients by layer, from one backward pass.

    Args:
        network: The network.
        images: (N, H, W, C).
        layers: The layers; those that the values do not depend on, such as a softmax after the scores, are left out.
        names: The layers that the objectives read.
        weights: The weights (N, *shape) of their outputs.
    """
    graph = network.graph
    shapes = {layer.name: layer.shape for layer in layers if graph.tail(layer.name, names) is not None}
    if not shapes:
        return values(network, images, names, weights), {}
    *ends, total = itertools.accumulate(math.prod(shape) for shape in shapes.values())

    def build() -> Compiled:
        def shifted(tensor: Any, output: Any, shifts: Mapping[int, Any]) -> Any:
            shift = shifts.get(id(tensor))
            return output if shift is None else output + keras.ops.cast(shift, output.dtype)

        # The gradient with respect to an output equals that with respect to zeros added to it.
        def value(flat: Any, x: Any, *weights: Any) -> Any:
            parts = keras.ops.split(flat, ends, axis=1) if ends else [flat]
            shifts = {
                id(graph.tensors[name]): keras.ops.reshape(part, (-1, *shape))
                for (name, shape), part in zip(shapes.items(), parts, strict=True)
            }
            function = graph.function(
                names, lambda call: lambda *args, **kwargs: shifted(call.output, call.function(*args, **kwargs), shifts)
            )
            return weighted_sum(function)(shifted(graph.input, x, shifts), *weights)

        return network.gradient(value, [(total,), network.shape, *_shapes(weights)])

    pull = network.compiled(("layer gradients", *shapes, "of", *names), build)

    def at_zero(
        x: Float[np.ndarray, "N H W C"], *weights: Float32[np.ndarray, "N ..."]
    ) -> list[Float32[np.ndarray, "N ..."]]:
        totals, slopes = pull(np.zeros((len(x), total), np.float32), x, *weights)
        parts = np.split(slopes, ends, axis=1)
        return [totals, *(part.reshape(-1, *shape) for part, shape in zip(parts, shapes.values(), strict=True))]

    totals, *gradients = network.compute(at_zero, images, *weights)
    return totals, dict(zip(shapes, gradients, strict=True))


def differentiable(
    network: Network,
    function: Callable[..., Any],
    names: tuple[str, ...],
    shapes: Sequence[tuple[int, ...]],
    seen: Callable[..., Any] | None,
    *,
    variables: tuple[int, ...] | None,
    views: int,
    override: bool,
) -> Callable[..., tuple[Float32[np.ndarray, " N"], Float32[np.ndarray, "N ..."]]]:
    """Compiles a function of layer outputs with its gradient; see `Classifier.differentiable`."""
    first = network.shape if variables is None else variables

    def build() -> Compiled:
        outputs = backward(network.graph, names, relu_override) if override else network.graph.function(names)

        def value(x: Any, *others: Any) -> Any:
            shown = x if seen is None else seen(x, *others)
            values = [keras.ops.cast(output, "float32") for output in outputs(shown)]
            return function(dict(zip(names, values, strict=True)), x, *others)

        return network.gradient(value, [first, *shapes])

    compiled = network.recently_compiled((function, names, first, *shapes, seen, override), build)

    def differentiated(
        *arrays: Float[np.ndarray, "N ..."],
    ) -> tuple[Float32[np.ndarray, " N"], Float32[np.ndarray, "N ..."]]:
        if variables is None:
            network.check_images(arrays[0])
        elif arrays[0].shape[1:] != variables:
            expected = shape_text((None, *variables))
            raise UsageError(f"The variables have the shape {arrays[0].shape}; expected {expected}.")
        values, gradient = network.in_batches(compiled, arrays, views)
        return values, gradient

    return differentiated


def weighted_sum(outputs: Callable[[Any], Sequence[Any]]) -> Callable[..., Any]:
    """(x, weights, …) ↦ Σ weights · outputs(x) for each image."""

    def value(x: Any, *weights: Any) -> Any:
        return sum(weighted(output, weight) for output, weight in zip(outputs(x), weights, strict=True))

    return value


def weighted(output: Any, weights: Any) -> Any:
    """Σ output · weights for each image, (N,)."""
    products = keras.ops.cast(output, "float32") * weights
    return keras.ops.sum(keras.ops.reshape(products, (-1, math.prod(output.shape[1:]))), axis=1)


def _shapes(weights: Sequence[Float32[np.ndarray, "N ..."]]) -> list[tuple[int, ...]]:
    return [weight.shape[1:] for weight in weights]
