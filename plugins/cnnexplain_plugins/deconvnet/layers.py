"""The layers that the deconvnet shows, with the backward rules that are defined for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnnexplain import Axis, Field
from cnnexplain.errors import ModelError, UsageError
from cnnexplain.numerics import evenly_spaced
from cnnexplain.plugin import opaque_layers

if TYPE_CHECKING:
    from cnnexplain import Classifier, Layer

LAYERS = 5
"""A network with more convolutions than this is deep: one layer per stage is shown, with two rules."""

SEPARABLE = ("DepthwiseConv2D", "SeparableConv2D")
"""Layers that make a network separable. It is treated like a deep one."""


@dataclass(frozen=True)
class ShownLayer:
    """A layer whose feature maps are projected to the pixels.

    Args:
        layer: The layer.
        field: The receptive fields of its units; the whole image if they are unknown.
        field_known: Whether the receptive fields are known.
        rules: The rules that are defined for the layer, each with a description of what it does there.
    """

    layer: Layer
    field: Field
    field_known: bool
    rules: Mapping[str, str]

    @property
    def name(self) -> str:
        """The name of the layer."""
        return self.layer.name

    @property
    def channels(self) -> int:
        """The number of feature maps."""
        return self.layer.shape[-1]


def is_deep(classifier: Classifier) -> bool:
    """Whether a network is deep or separable, so that one layer per stage is shown, with two rules."""
    separable = any(layer.kind in SEPARABLE for layer in classifier.layers)
    return separable or len(classifier.convolutions) > LAYERS


def select_layers(classifier: Classifier, names: Sequence[str]) -> list[Layer]:
    """The layers with these names; without names, the default layers.

    Raises:
        UsageError: There is no such layer, or it has no feature maps.
        ModelError: The model has no convolutional layer.
    """
    if names:
        return [classifier.layer(name, maps=True) for name in dict.fromkeys(names)]
    convolutions = classifier.convolutions
    if not convolutions:
        raise ModelError(
            f"'{classifier.name}' has no convolutional layer{opaque_layers(classifier)}, and so no feature maps to project; "
            "choose another analysis, such as saliency."
        )
    stages = [classifier.layer(name) for name in classifier.stages]
    return stages if is_deep(classifier) and stages else evenly_spaced(convolutions, LAYERS)


def with_rules(
    classifier: Classifier, layers: Sequence[Layer], requested: Sequence[str]
) -> tuple[list[ShownLayer], list[str]]:
    """The layers for which at least one rule is defined, and warnings about what is left out.

    Args:
        classifier: The model.
        layers: The layers.
        requested: The rules; empty for the default ones.

    Raises:
        ModelError: No rule is defined for any of the layers.
    """
    rules = requested or (("deconvnet", "guided") if is_deep(classifier) else ("deconvnet",))
    defined: dict[str, dict[str, str]] = {layer.name: {} for layer in layers}
    undefined: dict[tuple[str, str], list[str]] = {}

    def try_rule(name: str, rule: str) -> None:
        try:
            defined[name][rule] = classifier.describe_rule(name, rule)
        except ModelError as error:
            undefined.setdefault((rule, str(error)), []).append(name)

    for layer in layers:
        for rule in rules:
            try_rule(layer.name, rule)
        if not requested and not defined[layer.name] and "guided" not in rules:
            try_rule(layer.name, "guided")
    if not any(defined.values()):
        raise ModelError(next(iter(undefined))[1])
    warnings = [
        f"The rule '{rule}' is left out for {', '.join(names)}: {reason}" for (rule, reason), names in undefined.items()
    ]
    shown = []
    for layer in (layer for layer in layers if defined[layer.name]):
        try:
            field, known = classifier.receptive_field(layer.name), True
        except ModelError as error:
            height, width = classifier.preprocess.shape[:2]
            field, known = Field(Axis(0, 0, height), Axis(0, 0, width)), False
            warnings.append(f"{error} Whole images are shown for '{layer.name}'.")
        shown.append(ShownLayer(layer, field, known, defined[layer.name]))
    return shown, warnings


def check_maps(layers: Sequence[ShownLayer], maps: int | Sequence[int]) -> None:
    """Checks that each layer has the feature maps with these numbers.

    Raises:
        UsageError: A layer has no feature map with that number.
    """
    for layer in layers:
        for number in [] if isinstance(maps, int) else maps:
            if not 0 <= number < layer.channels:
                raise UsageError(
                    f"The layer '{layer.name}' has no feature map {number}: they go from 0 to {layer.channels - 1}. "
                    "Name layers that have it with --layer."
                )
