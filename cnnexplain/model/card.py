"""A model's card: what pages and notebooks show about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cnnexplain.model.classifier import Classifier


def html(classifier: Classifier) -> str:
    """The card as HTML."""
    from cnnexplain import markup

    return markup.fragment("card.html", model=card(classifier))


def card(classifier: Classifier) -> dict[str, Any]:
    """The values for the template `card.html`."""
    preprocess = classifier.preprocess
    size = " × ".join(map(str, preprocess.shape))
    fixed = f"; fixed: {classifier.inputs}" if classifier.inputs.fixed else ""
    return {
        "name": classifier.name,
        "sha256": classifier.sha256,
        "input": f"{size} ({preprocess.false_color or preprocess.color}){fixed}",
        "low": preprocess.low,
        "high": preprocess.high,
        "fit": preprocess.fit,
        "assumed": preprocess.assumed,
        "head": classifier.head,
        "outputs": classifier.outputs,
        "unit": classifier.unit,
        "training": classifier.training_figures,
        "labels": classifier.labels,
        "layers": classifier.layers,
        "parameters": sum(layer.parameters for layer in classifier.layers),
    }
