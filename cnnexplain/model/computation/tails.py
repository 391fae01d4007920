"""The part of a network after a layer, computed from given outputs of that layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import keras

from cnnexplain.errors import UsageError
from cnnexplain.model.computation.layer_outputs import check_outputs
from cnnexplain.model.computation.network import Compiled, Network
from cnnexplain.model.geometry.layers import Layer

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float, Float32


def outputs_after(
    network: Network,
    images: Float[np.ndarray, "N H W C"],
    layer: Layer,
    outputs: Float[np.ndarray, "N ..."],
    layers: Sequence[Layer],
) -> dict[str, Float32[np.ndarray, "N ..."]]:
    """The outputs of later layers, by name; see `Classifier.activations_after`.

    Raises:
        UsageError: None of them depends on the layer, or the outputs have another shape than those of the layer.
    """
    names = tuple(each.name for each in layers)
    if outputs.shape != (len(images), *layer.shape):
        raise UsageError(
            f"The outputs of '{layer.name}' have the shape {outputs.shape}; expected {(len(images), *layer.shape)}."
        )
    tail = network.graph.tail(layer.name, names)
    if tail is None:
        raise UsageError(f"No output of {', '.join(names)} depends on the layer '{layer.name}'; name layers after it.")

    def function(x: Any, given: Any) -> list[Any]:
        return [keras.ops.cast(output, "float32") for output in tail(given, x)]

    def build() -> Compiled:
        return network.function(function, [network.shape, layer.shape])

    compiled = network.compiled(("outputs after", layer.name, *names), build)
    return check_outputs(layers, network.compute(compiled, images, outputs))
