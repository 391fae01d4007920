"""The units to maximize: classes, feature maps, neurons."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cnnexplain import Channel, Logit, Neuron, Objective
from cnnexplain.draw import wording
from cnnexplain.errors import UsageError

if TYPE_CHECKING:
    from cnnexplain import Classifier, Layer

CLASSES, UNITS = 16, 32
"""Defaults: all classes of a model with up to `CLASSES` are shown, and up to `UNITS` units of a layer."""

FEW_CLASSES, FEW_UNITS = 4, 8
"""The number of classes shown by default of a model with more, and of units if each takes long."""


def choose(
    classifier: Classifier, objectives: list[Objective], layer: str | None, units: tuple[str, ...], *, slow: bool
) -> tuple[list[Objective], tuple[str, ...]]:
    """The objectives to maximize, and warnings about the choice.

    Args:
        classifier: The model.
        objectives: Those of `--target` and `--against`; empty if neither is given.
        layer: The name of a layer.
        units: The units of the layer, each "K" or "ROW,COLUMN,K".
        slow: Whether maximizing a unit takes long.

    Raises:
        UsageError: The options contradict each other, or there is no such layer or unit.
    """
    if objectives and (layer is not None or units):
        raise UsageError(
            "--target and images select outputs, --layer and --unit select units of a layer: use one or the "
            "other. To search images for strong activations, put them in a folder: --dataset FOLDER."
        )
    if objectives:
        return objectives, ()
    if layer is None:
        if units:
            raise UsageError(f"--unit {units[0]} requires a layer: name it with --layer.")
        count = len(classifier.labels)
        shown = count if count <= CLASSES else FEW_CLASSES
        warning = (
            f"The first {shown} of the model's {count} {wording.outputs(classifier.head)} are shown; select others with "
            "--target, or pass images to show their predictions."
        )
        return [Logit(index) for index in range(shown)], (warning,) if count > shown else ()
    named = classifier.layer(layer)
    activated = classifier.layer(classifier.activated(named.name))
    note = f"'{named.name}' has no activation; '{activated.name}', which follows it, is maximized instead."
    warnings: tuple[str, ...] = () if activated == named else (note,)
    if units:
        return [_unit(classifier, activated, text) for text in units], warnings
    count, limit = activated.shape[-1], FEW_UNITS if slow else UNITS
    if count > limit:
        warnings += (f"The first {limit} of the {count} units of '{activated.name}' are shown; select others with --unit.",)
    return [_whole(classifier, activated, index) for index in range(min(count, limit))], warnings


def _unit(classifier: Classifier, layer: Layer, text: str) -> Objective:
    if not re.fullmatch(r"[0-9]+(,[0-9]+,[0-9]+)?", text):
        raise UsageError(
            f"--unit takes K for a feature map or dense neuron, or ROW,COLUMN,K for one neuron of a map, but got '{text}'."
        )
    place = [int(number) for number in text.split(",")]
    objective = _whole(classifier, layer, *place) if len(place) == 1 else Neuron(layer.name, *place)
    objective.seeds(classifier)
    return objective


def _whole(classifier: Classifier, layer: Layer, index: int) -> Objective:
    # Units of the last layer are explained by their logits: a softmax output could be raised by lowering other classes.
    if layer.name == classifier.output and 0 <= index < layer.shape[-1]:
        # A single output is the second of two classes.
        return Logit(index if classifier.head == "values" else len(classifier.labels) - layer.shape[-1] + index)
    return Channel(layer.name, index)
