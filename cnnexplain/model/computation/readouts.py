"""How a compiled function computes the values of targets from the outputs of layers.

Most targets are single classes, given to the function as an index for each image. Other objectives are weighted sums of the
outputs of layers, given as the weights. Both are arguments, so that all targets that read the same layers share a function.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from cnnexplain.model.computation.objectives import Logit, Targets, as_objectives, output_weights
from cnnexplain.model.structure.graph import LOGITS

if TYPE_CHECKING:
    from jaxtyping import Float, Int64, Shaped

    from cnnexplain.model.classifier import Classifier

PREDICTED = -1
"""The index that stands for the class with the largest logit, the first of several."""


@dataclass(frozen=True)
class Readout:
    """The targets of images as arguments of a compiled function.

    Args:
        layers: The names of the layers whose outputs the function reads.
        arrays: Its arguments, each a batch: the indices (N,) of classes, or weights (N, *shape) for each layer.
        by_class: Whether the targets are classes.
    """

    layers: tuple[str, ...]
    arrays: tuple[Shaped[np.ndarray, "N ..."], ...]
    by_class: bool

    @property
    def key(self) -> tuple[str, ...]:
        """Identifies the compiled function."""
        return ("of a class",) if self.by_class else ("of", *self.layers)

    @property
    def form(self) -> Readout:
        """The readout without its arguments, for functions that are kept."""
        return Readout(self.layers, (), self.by_class)

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """The shapes of the arguments, without the batch axis."""
        return [array.shape[1:] for array in self.arrays]

    def values(self, outputs: Sequence[Any], arrays: Sequence[Any]) -> Any:
        """The values (N,) of the targets, from the outputs of the layers and the arguments, both tensors."""
        weights = [class_weights(outputs[0], arrays[0])] if self.by_class else arrays
        return sum(weighted(output, weight) for output, weight in zip(outputs, weights, strict=True))


def of_classes(classes: Int64[np.ndarray, " N"]) -> Readout:
    """The readout of the logits of classes by index, or of the largest logit for `PREDICTED`."""
    return Readout((LOGITS,), (classes,), by_class=True)


def readout(classifier: Classifier, images: Float[np.ndarray, "N ..."], targets: Targets) -> Readout:
    """The readout of the targets of images.

    Raises:
        UsageError: The model has no such class, layer or unit, or the number of targets is not that of the images.
    """
    objectives = as_objectives(targets)
    if len(objectives) == len(images) and all(isinstance(objective, Logit) for objective in objectives):
        return of_classes(class_indices(classifier, objectives))
    layers, weights = output_weights(classifier, images, objectives)
    return Readout(layers, tuple(weights), by_class=False)


def class_indices(classifier: Classifier, logits: Sequence[Any]) -> Int64[np.ndarray, " N"]:
    """The index of the class of each `Logit`.

    Raises:
        UsageError: The model has no such class.
    """
    # Thousands of images may share an objective, such as the noisy copies of one image.
    indices = {target: classifier.target(target) for target in {logit.target for logit in logits}}
    return np.array([indices[logit.target] for logit in logits], np.int64)


def class_weights(logits: Any, classes: Any) -> Any:
    """The weights (N, K) that select the logits of classes (N,), which may be `PREDICTED`; all are tensors."""
    count = logits.shape[-1]
    scores, classes = keras.ops.stop_gradient(logits), keras.ops.cast(classes, "int32")
    # The index that an argmax returns for equal values depends on the backend.
    largest = keras.ops.equal(scores, keras.ops.max(scores, axis=1, keepdims=True))
    first = keras.ops.min(keras.ops.where(largest, keras.ops.arange(count, dtype="int32"), count), axis=1)
    return keras.ops.one_hot(keras.ops.where(classes < 0, first, classes), count, dtype="float32")


def weighted(output: Any, weights: Any) -> Any:
    """Σ output · weights for each image, (N,), of tensors."""
    products = keras.ops.cast(output, "float32") * weights
    return keras.ops.sum(keras.ops.reshape(products, (-1, math.prod(output.shape[1:]))), axis=1)
