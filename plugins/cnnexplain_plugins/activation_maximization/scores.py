"""The values of many units for many images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from cnnexplain import Classifier, Floats, Objective


def stacked(classifier: Classifier, objectives: Sequence[Objective]) -> dict[str, Floats]:
    """For each layer that an objective reads, the weights (U, *shape of the layer) of the layer's numbers.

    Raises:
        UsageError: The model has no such class, layer or unit.
    """
    seeds = [objective.seeds(classifier) for objective in objectives]
    names = sorted({name for seed in seeds for name in seed})
    empty = {name: np.zeros(classifier.layer(name).shape, np.float32) for name in names}
    return {name: np.stack([seed.get(name, empty[name]) for seed in seeds]) for name in names}


def scores(classifier: Classifier, images: Floats, objectives: Sequence[Objective]) -> Floats:
    """The value of every objective for every image, (N, U), from one forward pass over the images.

    Args:
        classifier: Whose units.
        images: (N, H, W, C) in the model's input range.
        objectives: U of them.

    Raises:
        UsageError: The model has no such class, layer or unit.
    """
    size = classifier.batch_size
    names = sorted({name for objective in objectives for name in objective.seeds(classifier)})
    values = np.zeros((len(images), len(objectives)), np.float32)
    for start in range(0, len(images), size):
        here = slice(start, start + size)
        outputs = {name: each.reshape(len(each), -1) for name, each in classifier.activations(images[here], names).items()}
        for first in range(0, len(objectives), size):
            some = slice(first, first + size)
            for name, weights in stacked(classifier, objectives[some]).items():
                values[here, some] += outputs[name] @ weights.reshape(len(weights), -1).T
    return values
