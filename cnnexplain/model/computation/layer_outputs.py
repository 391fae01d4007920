"""The outputs of layers for images, with and without the clips of their activations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import keras

from cnnexplain.errors import ModelError, line
from cnnexplain.model.computation.network import Compiled, Network
from cnnexplain.model.geometry.layers import Layer
from cnnexplain.model.structure.activations import unclipped
from cnnexplain.model.structure.failures import check_shapes
from cnnexplain.model.structure.graph import LOGITS

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float, Float32


def logits(network: Network, images: Float[np.ndarray, "N H W C"]) -> Float32[np.ndarray, "N K"]:
    """The score of each class before the softmax, (N, K).

    Raises:
        ModelError: The model returns another shape than its layers declare.
    """
    return check_logits(network, images, network.compute(network.outputs((LOGITS,)), images)[0])


def check_logits(
    network: Network, images: Float[np.ndarray, "N H W C"], scores: Float32[np.ndarray, " ..."]
) -> Float32[np.ndarray, "N K"]:
    """Scores that a network has returned for images, after their shape is checked.

    Raises:
        ModelError: The model returns another shape than its layers declare.
    """
    classes = network.graph.tensors[LOGITS].shape[-1]
    if scores.shape != (len(images), classes):
        check_shapes(network.graph, network.example(images))
        raise ModelError(
            f"'{line(network.name)}' returns {scores.shape} for {len(images)} images; expected a score for each of its "
            f"{classes} classes for each image."
        )
    return scores


def layer_outputs(
    network: Network, images: Float[np.ndarray, "N H W C"], layers: Sequence[Layer]
) -> dict[str, Float32[np.ndarray, "N ..."]]:
    """The outputs (N, *shape) of layers, by name, from one forward pass; see `Classifier.activations`.

    Raises:
        ModelError: A layer returns another shape than it declares.
    """
    distinct = list({layer.name: layer for layer in layers}.values())
    return check_outputs(distinct, network.compute(network.outputs(tuple(layer.name for layer in distinct)), images))


def check_outputs(
    layers: Sequence[Layer], outputs: Sequence[Float32[np.ndarray, "N ..."]]
) -> dict[str, Float32[np.ndarray, "N ..."]]:
    """The outputs of layers by name, after their shapes are checked.

    Raises:
        ModelError: A layer returns another shape than it declares.
    """
    for layer, output in zip(layers, outputs, strict=True):
        if output.shape[1:] != layer.shape:
            raise ModelError(
                f"The layer '{layer.name}' ({layer.kind}) declares the output shape {layer.shape}, but returns "
                f"{output.shape[1:]}; fix its compute_output_shape()."
            )
    return {layer.name: output for layer, output in zip(layers, outputs, strict=True)}


def unclipped_outputs(
    network: Network, images: Float[np.ndarray, "N H W C"], names: Sequence[str]
) -> dict[str, tuple[Float32[np.ndarray, "N ..."], Float32[np.ndarray, "N ..."]]]:
    """The outputs of layers, and values that rank their units; see `Classifier.unclipped`."""
    names = list(dict.fromkeys(names))
    extended, seconds = unclipped(network.graph, names, ranking=True)
    wanted = (*names, *seconds.values())
    compiled = network.compiled(("unclipped", *wanted), lambda: network.forward(extended, wanted))
    outputs = dict(zip(wanted, network.compute(compiled, images), strict=True))
    return {name: (outputs[name], outputs[seconds.get(name, name)]) for name in names}


def largest_values(
    network: Network, images: Float[np.ndarray, "N H W C"], names: Sequence[str]
) -> dict[str, Float32[np.ndarray, "N F"]]:
    """The largest value of each feature map of layers by name; see `Classifier.largest_values`."""
    names = list(dict.fromkeys(names))
    extended, seconds = unclipped(network.graph, names, ranking=True)
    wanted = [seconds.get(name, name) for name in names]

    def build() -> Compiled:
        outputs = extended.function(wanted)
        # One axis after the other, and columns first: TensorFlow is several times slower along both at once.
        return network.function(
            lambda x: [keras.ops.cast(keras.ops.max(keras.ops.max(y, axis=2), axis=1), "float32") for y in outputs(x)],
            [network.shape],
        )

    compiled = network.compiled(("largest values", *wanted), build)
    return dict(zip(names, network.compute(compiled, images), strict=True))
