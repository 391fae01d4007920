"""Gradients of objectives with respect to images and to the outputs of layers.

Each function here makes one pass through the network. What it computes with the targets is in `readouts`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from cnnexplain import backend
from cnnexplain.errors import UsageError
from cnnexplain.model.computation.backward_rules import backward
from cnnexplain.model.computation.layer_outputs import check_logits, check_outputs
from cnnexplain.model.computation.network import Compiled, Network
from cnnexplain.model.computation.readouts import Readout, weighted
from cnnexplain.model.computation.relu_override import relu_override
from cnnexplain.model.geometry.layers import Layer
from cnnexplain.model.structure.model_inputs import shape_text

if TYPE_CHECKING:
    from jaxtyping import Float, Float32


def values(network: Network, images: Float[np.ndarray, "N H W C"], readout: Readout) -> Float32[np.ndarray, " N"]:
    """The values (N,) of the targets of images."""
    outputs = network.compute(network.outputs(readout.layers), images)
    if readout.by_class:
        (classes,) = readout.arrays
        return np.asarray(check_logits(network, images, outputs[0])[np.arange(len(images)), classes])
    products = zip(outputs, readout.arrays, strict=True)
    total = sum((output * weight).reshape(len(images), -1).sum(axis=1) for output, weight in products)
    return np.asarray(total, np.float32)


def image_gradient(
    network: Network, images: Float[np.ndarray, "N H W C"], readout: Readout
) -> list[Float32[np.ndarray, "N ..."]]:
    """The values (N,) of targets, their gradients (N, H, W, C), and, if the targets are classes, the logits (N, K)."""
    form = readout.form

    def build() -> Compiled:
        outputs = network.graph.function(form.layers)

        def value(x: Any, *arrays: Any) -> list[Any]:
            read = outputs(x)
            return [form.values(read, arrays), *_kept(form, read)]

        return network.function(backend.current().value_and_gradient(value), [network.shape, *readout.shapes])

    arrays = network.compute(network.compiled(("gradient", *readout.key), build), images, *readout.arrays)
    return _checked(network, images, readout, arrays)


def layer_gradients(
    network: Network,
    layers: Sequence[Layer],
    returned: Sequence[Layer],
    images: Float[np.ndarray, "N H W C"],
    readout: Readout,
) -> list[Float32[np.ndarray, "N ..."]]:
    """The values (N,) of targets, their gradients with respect to the outputs of layers, and the outputs of layers.

    Args:
        network: The network.
        layers: The layers for the gradients; the targets depend on all of them.
        returned: The layers whose outputs are returned.
        images: (N, H, W, C).
        readout: The targets. If they are classes, the logits (N, K) are the last array.
    """
    form = readout.form

    def build() -> Compiled:
        graph = network.graph
        numbers = {id(graph.tensors[layer.name]): number for number, layer in enumerate(layers)}

        def value(watch: Callable[[int, Any], Any], x: Any, *arrays: Any) -> list[Any]:
            def watched(tensor: Any, output: Any) -> Any:
                number = numbers.get(id(tensor))
                return output if number is None else watch(number, output)

            function = graph.function(
                [*form.layers, *(layer.name for layer in returned)],
                lambda call: lambda *args, **kwargs: watched(call.output, call.function(*args, **kwargs)),
            )
            outputs = function(watched(graph.input, x))
            read, others = outputs[: len(form.layers)], outputs[len(form.layers) :]
            return [form.values(read, arrays), *others, *_kept(form, read)]

        differentiated = backend.current().value_and_inner_gradients(value, [layer.shape for layer in layers])
        function = differentiated if layers else partial(value, lambda _, tensor: tensor)
        return network.function(
            lambda *arrays: [keras.ops.cast(each, "float32") for each in function(*arrays)], [network.shape, *readout.shapes]
        )

    names = [layer.name for layer in layers], [layer.name for layer in returned]
    key = ("layer gradients", *names[0], "with", *names[1], *readout.key)
    arrays = network.compute(network.compiled(key, build), images, *readout.arrays)
    check_outputs(returned, arrays[1 + len(layers) :][: len(returned)])
    return _checked(network, images, readout, arrays)


def _kept(readout: Readout, outputs: Sequence[Any]) -> list[Any]:
    """The logits, if the targets are classes."""
    return [keras.ops.cast(outputs[0], "float32")] if readout.by_class else []


def _checked(
    network: Network, images: Float[np.ndarray, "N H W C"], readout: Readout, arrays: list[Float32[np.ndarray, "N ..."]]
) -> list[Float32[np.ndarray, "N ..."]]:
    """The results of a pass, after the shape of the logits among them is checked."""
    if readout.by_class:
        check_logits(network, images, arrays[-1])
    return arrays


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
