"""A forward pass for a page: the outputs of the layers that it shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cnnexplain.errors import UsageError, shown
from cnnexplain.model.classifier import Classifier
from cnnexplain.model.structure.graph import LOGITS
from cnnexplain.studio import feature_maps, network
from cnnexplain.studio.inputs import Inputs

if TYPE_CHECKING:
    from jaxtyping import Float32

MOST_VALUES = 4_000_000
"""The most values of feature maps in one message."""


def seen(classifier: Classifier, inputs: Inputs, name: str, wanted: dict[str, Any]) -> tuple[dict[str, Any], list[bytes]]:
    """The logits for an input, and the outputs of layers: a header and its bytes.

    Args:
        classifier: The model.
        inputs: The inputs.
        name: The name of the input.
        wanted: The layers by name, each with "most", the most feature maps, and "side", their most rows and columns.
    """
    layers = {classifier.layer(layer).name: _limits(layer, limits) for layer, limits in wanted.items()}
    outputs = forward_pass(classifier, inputs.encoded(name))
    logits = outputs[LOGITS]
    described, parts = [], [np.ascontiguousarray(logits[0], np.float32).tobytes()]
    for layer, (most, side) in layers.items():
        output = outputs[layer][0]
        if output.ndim == 3:
            facts, levels = feature_maps.packed(output, most, side)
            if levels.size > MOST_VALUES:
                raise UsageError(f"{levels.size:,} values of '{layer}' are more than a page can show at once.")
            parts.append(levels.tobytes())
        else:
            values = np.ascontiguousarray(output.reshape(-1)[:most], np.float32)
            facts = {"values": len(values)}
            parts.append(values.tobytes())
        described.append({"name": layer, **facts})
    header = {
        "input": name,
        "outputs": classifier.predictions(logits)[0].tolist(),
        "logits": logits.shape[-1],
        "layers": described,
    }
    return header, parts


def forward_pass(classifier: Classifier, images: Float32[np.ndarray, "N H W C"]) -> dict[str, Float32[np.ndarray, "N ..."]]:
    """The outputs of all layers: a function of those in sight would be compiled again whenever others come into sight."""
    return classifier.activations(images, [layer.name for layer in network.shown(classifier)])


def _limits(layer: str, limits: Any) -> tuple[int, int]:
    most, side = (limits.get("most"), limits.get("side")) if isinstance(limits, dict) else (None, None)
    if not (isinstance(most, int) and isinstance(side, int) and most > 0 and side > 0):
        raise UsageError(
            f"The limits of the layer '{layer}' are {shown(limits)}; expected positive integers 'most' and 'side'."
        )
    return most, side
