"""The parts of a data set's images that activate units most, which often explain them better than optimized pictures."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cnnexplain.errors import ModelError
from cnnexplain_plugins.activation_maximization.scores import stacked_weights

if TYPE_CHECKING:
    from jaxtyping import Float, Float32, Int64

    from cnnexplain import Classifier, Field, Objective, Stream

TOP = 9
"""The number of patches of a unit, one per image."""


@dataclass(frozen=True)
class Patch:
    """A part of a natural image, with the value of the unit there.

    Args:
        value: The value of the unit.
        name: The name of the image.
        pixels: In the model's input range: the whole image, or the receptive field of a unit in a feature map.
    """

    value: float
    name: str
    pixels: Float32[np.ndarray, "h w C"]


@dataclass
class Strongest:
    """The images of a data set that activate a unit most.

    Args:
        best: The highest value of the unit, or None if no value is finite.
        image: The name of the image with this value.
        patches: The strongest patches so far, the strongest first, one per image.
    """

    best: float | None = None
    image: str | None = None
    patches: list[Patch] = dataclasses.field(default_factory=list)

    def accepts(self, value: float) -> bool:
        """Whether a patch with this value is among the strongest so far."""
        return len(self.patches) < TOP or value > self.patches[-1].value

    def add(self, patch: Patch) -> None:
        """Adds a patch, after patches with the same value."""
        self.patches = sorted([*self.patches, patch], key=lambda each: -each.value)[:TOP]


def strongest(
    classifier: Classifier, objectives: Sequence[Objective], dataset: Stream, report: Callable[[int], None]
) -> list[Strongest]:
    """The images of a data set that activate each unit most, from one pass over the images.

    For a unit of feature maps, the value of an image is that at the strongest position, and the patch is the receptive field
    there, filled with gray beyond the image. For any other objective, the patch is the whole image.
    """
    results = [Strongest() for _ in objectives]
    layer_weights = stacked_weights(classifier, objectives)
    fields = [_receptive_field(classifier, objective) for objective in objectives]
    gray = classifier.preprocess.gray
    for number, (_, batch) in enumerate(dataset.batches(), start=1):
        images = np.asarray(batch)
        outputs = classifier.activations(images, list(layer_weights))
        values = np.zeros((len(images), len(objectives)), np.float32)
        for name, weights in layer_weights.items():
            values += outputs[name].reshape(len(images), -1) @ weights.reshape(len(weights), -1).T
        for unit, (result, layer_field) in enumerate(zip(results, fields, strict=True)):
            unit_values = np.where(np.isfinite(values[:, unit]), values[:, unit], -np.inf)
            place = int(unit_values.argmax())
            if np.isfinite(unit_values[place]) and (result.best is None or unit_values[place] > result.best):
                result.best, result.image = float(unit_values[place]), batch.sources[place].name
            rows = columns = np.zeros(len(images), int)
            if layer_field is not None:
                layer, field = layer_field
                rows, columns, peaks = _strongest_positions(outputs[layer], layer_weights[layer][unit])
                unit_values = np.where(np.isfinite(unit_values), peaks, -np.inf)
            for place in np.argsort(-unit_values, kind="stable")[:TOP]:
                if np.isfinite(unit_values[place]) and result.accepts(unit_values[place]):
                    image, name = images[place], batch.sources[place].name
                    pixels = image.copy() if layer_field is None else field.cut(image, rows[place], columns[place], gray)
                    result.add(Patch(float(unit_values[place]), name, pixels))
        report(number)
    return results


def _receptive_field(classifier: Classifier, objective: Objective) -> tuple[str, Field] | None:
    """The layer of feature maps that an objective is a unit of, and its receptive fields; None for other objectives."""
    names = list(objective.seeds(classifier))
    if len(names) > 1 or not classifier.layer(names[0]).maps:
        return None
    try:
        return names[0], classifier.receptive_field(names[0])
    except ModelError:
        return None


def _strongest_positions(
    outputs: Float[np.ndarray, "N h w F"], weights: Float[np.ndarray, "h w F"]
) -> tuple[Int64[np.ndarray, " N"], Int64[np.ndarray, " N"], Float[np.ndarray, " N"]]:
    """The position where a unit is strongest in each image, and its value there: the weighted sum over the channels.

    Args:
        outputs: The output of the layer.
        weights: The weights of the unit. For the mean of a feature map they are the same at all positions; for a neuron they
            are 0 except at its position.

    Returns:
        The rows, columns and values.
    """
    values = np.where((weights != 0).any(axis=-1), outputs @ weights.sum(axis=(0, 1)), -np.inf).reshape(len(outputs), -1)
    positions = values.argmax(axis=1)
    rows, columns = np.unravel_index(positions, weights.shape[:2])
    return rows, columns, values[np.arange(len(values)), positions]
