"""The values of many units for many images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float32

    from cnnexplain import Classifier, Objective


def stacked_weights(classifier: Classifier, objectives: Sequence[Objective]) -> dict[str, Float32[np.ndarray, "U ..."]]:
    """The weights (U, *shape of the layer) of each layer's output in U objectives, for all layers that they use.

    Raises:
        UsageError: The model has no such class, layer or unit.
    """
    weights = [objective.seeds(classifier) for objective in objectives]
    names = sorted({name for each in weights for name in each})
    zeros = {name: np.zeros(classifier.layer(name).shape, np.float32) for name in names}
    return {name: np.stack([each.get(name, zeros[name]) for each in weights]) for name in names}


def scores(
    classifier: Classifier, images: Float32[np.ndarray, "N H W C"], objectives: Sequence[Objective]
) -> Float32[np.ndarray, "N U"]:
    """The value of every objective for every image, from one forward pass over the images.

    Args:
        classifier: The model.
        images: In the model's input range.
        objectives: U objectives.

    Raises:
        UsageError: The model has no such class, layer or unit.
    """
    size = classifier.batch_size
    names = sorted({name for objective in objectives for name in objective.seeds(classifier)})
    values = np.zeros((len(images), len(objectives)), np.float32)
    for start in range(0, len(images), size):
        batch = slice(start, start + size)
        outputs = {name: each.reshape(len(each), -1) for name, each in classifier.activations(images[batch], names).items()}
        for first in range(0, len(objectives), size):
            group = slice(first, first + size)
            for name, weights in stacked_weights(classifier, objectives[group]).items():
                values[batch, group] += outputs[name] @ weights.reshape(len(weights), -1).T
    return values
