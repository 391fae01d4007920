"""The outputs of a network's layers and what is to be said of each (Yosinski et al. 2015, arXiv:1506.06579, section 2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnexplain.classifier import from_all_depths
from cnnexplain.plugin import Result

if TYPE_CHECKING:
    from cnnexplain.arrays import Floats
    from cnnexplain.classifier import Classifier, Layer

LAYERS = 20
"""How many layers are shown when none is named."""

LOGITS = "logits"
"""The name under which a classifier gives its scores before the softmax."""


def outputs(classifier: Classifier, images: Floats, names: Sequence[str]) -> Result:
    """The outputs of the named layers, or of every layer, for each image; see `cnnexplain_intermediate_outputs.run`."""
    layers = [classifier.layer(name) for name in dict.fromkeys(names)] or from_all_depths(classifier.layers, LAYERS)
    found = classifier.activations(images, [*(layer.name for layer in layers), LOGITS])
    probabilities = classifier.probabilities(found[LOGITS])
    last = classifier.output
    facts = [
        [
            _facts(layer, found[layer.name][number], None if layer.name not in (last, LOGITS) else probabilities[number])
            for layer in layers
        ]
        for number in range(len(images))
    ]
    arrays = {f"output/{layer.name}": found[layer.name] for layer in layers}
    left_out = 0 if names else len(classifier.layers) - len(layers)
    warning = f"{left_out} of the {len(classifier.layers)} layers are left out; name those to show with --layer."
    return Result({**arrays, "probabilities": probabilities}, {"layers": facts}, warnings=(warning,) if left_out else ())


def _facts(layer: Layer, output: Floats, probabilities: Floats | None) -> dict[str, Any]:
    """What is to be said of one layer's output for one image; `probabilities` are given for the network's last layer."""
    unit = "activation"
    if probabilities is not None:
        # One sigmoid unit stands for the last of its two classes. Half precision rounds at the third digit.
        unit = "probability" if np.allclose(output, probabilities[-output.size :], rtol=0, atol=1e-2) else "logit"
    dead = np.flatnonzero((output == 0).reshape(-1, output.shape[-1] if layer.shape else 1).all(axis=0))
    return {
        "name": layer.name,
        "kind": layer.kind,
        "shape": list(layer.shape),
        "unit": unit,
        "min": float(output.min()),
        "max": float(output.max()),
        "dead": len(dead),
        "dead_channels": dead.tolist(),
    }
