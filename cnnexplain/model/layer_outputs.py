"""The outputs of layers for images, with and without the clips of their activations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cnnexplain.errors import ModelError, line
from cnnexplain.model.activations import unclipped
from cnnexplain.model.failures import check_shapes
from cnnexplain.model.graph import LOGITS
from cnnexplain.model.layers import Layer
from cnnexplain.model.network import Network

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float, Float32


def logits(network: Network, images: Float[np.ndarray, "N H W C"]) -> Float32[np.ndarray, "N K"]:
    """The score of each class before the softmax, (N, K).

    Raises:
        ModelError: The model returns another shape than its layers declare.
    """
    (scores,) = network.compute(network.outputs((LOGITS,)), images)
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
    by_name = {layer.name: layer for layer in layers}
    outputs = dict(zip(by_name, network.compute(network.outputs(tuple(by_name)), images), strict=True))
    for name, output in outputs.items():
        if output.shape[1:] != by_name[name].shape:
            raise ModelError(
                f"The layer '{name}' ({by_name[name].kind}) declares the output shape {by_name[name].shape}, but returns "
                f"{output.shape[1:]}; fix its compute_output_shape()."
            )
    return outputs


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
