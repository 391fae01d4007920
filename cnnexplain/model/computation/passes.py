"""Passes through a network for the targets of images, whose predictions a pass also computes if they are not known yet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from cnnexplain.errors import UsageError
from cnnexplain.model.computation import gradients
from cnnexplain.model.computation.network import Network
from cnnexplain.model.computation.objectives import Targets
from cnnexplain.model.computation.predictions import Awaiting, awaited
from cnnexplain.model.computation.readouts import PREDICTED, Readout, of_classes, readout
from cnnexplain.model.geometry.layers import Layer

if TYPE_CHECKING:
    from jaxtyping import Float, Float32

    from cnnexplain.model.classifier import Classifier

Compute: TypeAlias = "Callable[[Float[np.ndarray, 'N H W C'], Readout], list[Float32[np.ndarray, 'N ...']]]"
"""Images and their targets ↦ arrays (N, …), the last of which are the logits if the targets are classes."""


def values(
    classifier: Classifier, network: Network, images: Float[np.ndarray, "N H W C"], targets: Targets
) -> Float32[np.ndarray, " N"]:
    """The values (N,) of targets, from a forward pass unless the logits are known."""
    awaiting = awaited(classifier, targets)
    if awaiting is not None and awaiting.are_for(images):
        return np.asarray(awaiting.predictions.logits[awaiting.places][np.arange(len(images)), awaiting.classes()])
    if awaiting is None or awaiting.known or images.shape != awaiting.images.shape:
        return gradients.values(network, images, readout(classifier, images, targets))
    # Other images, such as baselines, join the pass that computes the predictions.
    count = len(images)
    logits = classifier.logits(np.concatenate([awaiting.images, images]))
    awaiting.predictions.keep(awaiting.places, logits[:count])
    return np.asarray(logits[count:][np.arange(count), awaiting.classes()])


def image_gradient(
    classifier: Classifier, network: Network, images: Float[np.ndarray, "N H W C"], targets: Targets
) -> tuple[Float32[np.ndarray, " N"], Float32[np.ndarray, "N H W C"]]:
    """The values (N,) of targets, and their gradients (N, H, W, C)."""
    read, awaiting = _read(classifier, images, targets)
    values, gradient, *_ = _one_pass(images, read, awaiting, partial(gradients.image_gradient, network))
    return values, gradient


def layer_gradient(
    classifier: Classifier, network: Network, images: Float[np.ndarray, "N H W C"], layer: Layer, targets: Targets
) -> tuple[Float32[np.ndarray, " N"], Float32[np.ndarray, " N *shape"], Float32[np.ndarray, " N *shape"]]:
    """The values (N,) of targets, the output of a layer, and the gradients with respect to it.

    Raises:
        UsageError: The targets do not depend on the layer.
    """
    read, awaiting = _read(classifier, images, targets)
    if not network.graph.leads_to(layer.name, read.layers):
        raise UsageError(
            f"The target does not depend on the layer '{layer.name}'; name one that leads to {' and '.join(read.layers)}."
        )
    compute = partial(gradients.layer_gradients, network, [layer], [layer])
    values, gradient, output, *_ = _one_pass(images, read, awaiting, compute)
    return values, output, gradient


def layer_gradients(
    classifier: Classifier,
    network: Network,
    images: Float[np.ndarray, "N H W C"],
    layers: Sequence[Layer],
    returned: Sequence[Layer],
    targets: Targets,
) -> tuple[Float32[np.ndarray, " N"], dict[str, Float32[np.ndarray, "N ..."]], dict[str, Float32[np.ndarray, "N ..."]]]:
    """The values (N,) of targets, the outputs of layers, and the gradients with respect to the outputs of layers.

    Layers that the targets do not depend on, such as a softmax after the scores, have no gradients.
    """
    read, awaiting = _read(classifier, images, targets)
    returned = list({layer.name: layer for layer in returned}.values())
    leading = [layer for layer in layers if network.graph.leads_to(layer.name, read.layers)]
    # The scores may also be the output of a layer, by another name.
    distinct = {id(network.graph.tensors[layer.name]): layer for layer in leading}
    compute = partial(gradients.layer_gradients, network, list(distinct.values()), returned)
    values, *arrays = _one_pass(images, read, awaiting, compute)
    slopes, outputs = dict(zip(distinct, arrays, strict=False)), arrays[len(distinct) :]
    return (
        values,
        {layer.name: output for layer, output in zip(returned, outputs, strict=False)},
        {layer.name: slopes[id(network.graph.tensors[layer.name])] for layer in leading},
    )


def _read(classifier: Classifier, images: Float[np.ndarray, "N H W C"], targets: Targets) -> tuple[Readout, Awaiting | None]:
    """The readout of targets, and what they wait for, if the predictions for the images are not known yet."""
    awaiting = awaited(classifier, targets)
    if awaiting is None or awaiting.known or not awaiting.are_for(images):
        return readout(classifier, images, targets), None
    return of_classes(awaiting.given), awaiting


def _one_pass(
    images: Float[np.ndarray, "N H W C"], read: Readout, awaiting: Awaiting | None, compute: Compute
) -> list[Float32[np.ndarray, "N ..."]]:
    """The arrays that a pass computes; if targets wait for the predictions, these are kept."""
    arrays = compute(images, read)
    if awaiting is None:
        return arrays
    logits = arrays[-1]
    awaiting.predictions.keep(awaiting.places, logits)
    # Probabilities may be rounded to the same number although the logits differ; the predicted class is the first of these.
    classes = awaiting.classes()
    wrong = np.flatnonzero((awaiting.given == PREDICTED) & (logits.argmax(axis=1) != classes))
    if not len(wrong):
        return arrays
    arrays = [np.array(array) for array in arrays]
    for array, corrected in zip(arrays, compute(images[wrong], of_classes(classes[wrong])), strict=True):
        array[wrong] = corrected
    return arrays
