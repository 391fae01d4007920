"""Which units are asked for: classes, feature maps, neurons."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cnnexplain import Channel, Logit, Neuron, Objective
from cnnexplain.draw import wording
from cnnexplain.errors import UsageError

if TYPE_CHECKING:
    from cnnexplain import Classifier, Layer

CLASSES, UNITS = 16, 32
"""When none is named: up to how many classes of a model all are shown, and how many units of a layer."""

FEW_CLASSES, FEW_UNITS = 4, 8
"""How many of more classes than that are shown, and how many units where each takes long."""


def choose(
    classifier: Classifier, objectives: list[Objective], layer: str | None, units: tuple[str, ...], *, long: bool
) -> tuple[list[Objective], tuple[str, ...]]:
    """The objectives to maximize, and warnings about the choice.

    Args:
        classifier: Whose units.
        objectives: Those of `--target` and `--against`; empty when neither was given.
        layer: A layer's name.
        units: Of the layer, each "K" or "ROW,COLUMN,K".
        long: Whether a unit takes long.

    Raises:
        UsageError: The options contradict each other, or there is no such layer or unit.
    """
    if objectives and (layer is not None or units):
        raise UsageError(
            "--target and images ask for outputs, --layer and --unit for units of a layer: give one or the other. Images to "
            "look through go in a folder: --dataset FOLDER."
        )
    if objectives:
        return objectives, ()
    if layer is None:
        if units:
            raise UsageError(f"--unit {units[0]} needs a layer: name it with --layer.")
        count = len(classifier.labels)
        shown = count if count <= CLASSES else FEW_CLASSES
        warning = (
            f"The first {shown} of the model's {count} {wording.outputs(classifier.head)} are shown; name another one with "
            "--target, or give images, whose predictions are shown."
        )
        return [Logit(index) for index in range(shown)], (warning,) if count > shown else ()
    asked = classifier.layer(layer)
    found = classifier.layer(classifier.activated(asked.name))
    followed = f"'{asked.name}' has no activation; what is maximized is '{found.name}', which follows it."
    warnings: tuple[str, ...] = () if found == asked else (followed,)
    if units:
        return [_unit(classifier, found, text) for text in units], warnings
    count, most = found.shape[-1], FEW_UNITS if long else UNITS
    if count > most:
        warnings += (f"The first {most} of the {count} units of '{found.name}' are shown; name others with --unit.",)
    return [_whole(classifier, found, index) for index in range(min(count, most))], warnings


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
    # The last layer's units are the classes, and a softmax there could be raised by lowering the other classes.
    if layer.name == classifier.output and 0 <= index < layer.shape[-1]:
        # One unit alone stands for the last of two classes.
        return Logit(index if classifier.head == "values" else len(classifier.labels) - layer.shape[-1] + index)
    return Channel(layer.name, index)
