"""Scores as functions of the output of a layer, computed by the rest of the network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cnnexplain.checks.differences import Function

if TYPE_CHECKING:
    from jaxtyping import Float32, Float64

    from cnnexplain.model.classifier import Classifier
    from cnnexplain.model.computation.objectives import Objective


def tail_scores(classifier: Classifier, image: Float32[np.ndarray, "1 H W C"], layer: str, objective: Objective) -> Function:
    """The function from outputs of a layer for an image to the values of an objective.

    Args:
        classifier: The model.
        image: The image, for paths that bypass the layer.
        layer: The name of the layer.
        objective: The objective; it must depend on the layer.
    """
    weights = objective.layer_weights(classifier)

    def function(outputs: Float32[np.ndarray, "n ..."]) -> Float64[np.ndarray, " n"]:
        values = np.zeros(len(outputs))
        for part in classifier.slices(len(outputs)):
            given = outputs[part]
            found = classifier.activations_after(np.repeat(image, len(given), axis=0), layer, given, list(weights))
            for name, weight in weights.items():
                products = found[name].astype(np.float64) * weight
                values[part] += products.reshape(len(given), -1).sum(axis=1)
        return values

    return function
