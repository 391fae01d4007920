"""A model as JSON for a page: its input, its classes, and the graph of its layers."""

from __future__ import annotations

from typing import Any

from cnnexplain.model.classifier import Classifier
from cnnexplain.model.geometry.layers import Layer
from cnnexplain.model.structure.graph import LOGITS
from cnnexplain.studio import blocks
from cnnexplain.studio.blocks import Node


def described(classifier: Classifier) -> dict[str, Any]:
    """The model's name, input, classes and layers.

    Each layer has its name, kind, output shape, number of parameters, the layers that it takes outputs of, and whether its
    output is feature maps. Layers that the scores do not depend on are left out.
    """
    preprocess = classifier.preprocess
    layers = shown(classifier)
    return {
        "name": classifier.name,
        "input": {
            "shape": preprocess.shape,
            "low": preprocess.low,
            "high": preprocess.high,
            "digits": preprocess.digits,
            "background": background(classifier),
        },
        "head": classifier.head,
        "unit": classifier.unit,
        "labels": list(classifier.labels),
        "blocks": [
            [block.name, list(block.layers)] for block in blocks.blocks([_node(classifier, layer) for layer in layers])
        ],
        "layers": [
            {
                "name": layer.name,
                "kind": layer.kind,
                "shape": layer.shape,
                "parameters": layer.parameters,
                "sources": classifier.sources(layer.name),
                "maps": layer.maps,
            }
            for layer in layers
        ],
    }


def shown(classifier: Classifier) -> list[Layer]:
    """The layers that the scores depend on, and the scores."""
    layers = [layer for layer in classifier.layers if classifier.leads_to_scores(layer.name)]
    return layers if LOGITS in {layer.name for layer in layers} else [*layers, classifier.layer(LOGITS)]


def _node(classifier: Classifier, layer: Layer) -> Node:
    return Node(layer.name, classifier.sources(layer.name), layer.shape[0] if layer.maps else None, layer.rearranges)


def background(classifier: Classifier) -> list[int]:
    """A pixel of an empty image, from 0 to 255."""
    preprocess = classifier.preprocess
    return [round(255 * float(share)) for share in preprocess.decode(preprocess.background)]
