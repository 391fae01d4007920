"""The parts of a data set's images that excite units the most, which often tell more of them than made-up pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from cnnexplain.errors import ModelError
from cnnexplain_plugins.activation_maximization.scores import stacked

if TYPE_CHECKING:
    from cnnexplain import Classifier, Field, Floats, Integers, Objective, Stream

TOP = 9
"""How many patches a unit has, one an image."""


@dataclass(frozen=True)
class Patch:
    """A part of a natural image, as strong as the unit is there.

    Args:
        value: Of the unit.
        name: Of the image.
        pixels: In the model's input range: the whole image, or what a unit of feature maps can see.
    """

    value: float
    name: str
    pixels: Floats


@dataclass
class Strongest:
    """What of a data set excites a unit the most.

    Args:
        best: Its highest value, or None where none is finite.
        image: The name of the image that has it.
        patches: The strongest ones so far, from the highest, one an image.
    """

    best: float | None = None
    image: str | None = None
    patches: list[Patch] = field(default_factory=list)

    def takes(self, value: float) -> bool:
        """Whether a patch of that value is among the strongest so far."""
        return len(self.patches) < TOP or value > self.patches[-1].value

    def add(self, patch: Patch) -> None:
        """Takes a patch, the later one of two of the same value behind."""
        self.patches = sorted([*self.patches, patch], key=lambda each: -each.value)[:TOP]


def strongest(
    classifier: Classifier, objectives: Sequence[Objective], dataset: Stream, report: Callable[[int], None]
) -> list[Strongest]:
    """What of a data set excites each unit the most, from one pass over the images.

    A unit of feature maps is as strong in an image as at its strongest place, and its patch there is the pixels that it can
    see, gray where these lie beyond the image. Any other objective is a number for the image, which is its patch.
    """
    found = [Strongest() for _ in objectives]
    seeds = stacked(classifier, objectives)
    fields = [_field(classifier, objective) for objective in objectives]
    gray = classifier.preprocess.gray
    for number, (_, batch) in enumerate(dataset.batches(), start=1):
        images = np.asarray(batch)
        outputs = classifier.activations(images, list(seeds))
        values = np.zeros((len(images), len(objectives)), np.float32)
        for name, weights in seeds.items():
            values += outputs[name].reshape(len(images), -1) @ weights.reshape(len(weights), -1).T
        for unit, (most, seen) in enumerate(zip(found, fields, strict=True)):
            here = np.where(np.isfinite(values[:, unit]), values[:, unit], -np.inf)
            place = int(here.argmax())
            if np.isfinite(here[place]) and (most.best is None or here[place] > most.best):
                most.best, most.image = float(here[place]), batch.sources[place].name
            rows = columns = np.zeros(len(images), int)
            if seen is not None:
                rows, columns, peaks = _places(outputs[seen[0]], seeds[seen[0]][unit])
                here = np.where(np.isfinite(here), peaks, -np.inf)
            for place in np.argsort(-here, kind="stable")[:TOP]:
                if np.isfinite(here[place]) and most.takes(here[place]):
                    image, name = images[place], batch.sources[place].name
                    pixels = image.copy() if seen is None else seen[1].cut(image, rows[place], columns[place], gray)
                    most.add(Patch(float(here[place]), name, pixels))
        report(number)
    return found


def _field(classifier: Classifier, objective: Objective) -> tuple[str, Field] | None:
    """The layer of feature maps that an objective reads and its receptive fields; None for what is no unit of one."""
    names = list(objective.seeds(classifier))
    if len(names) > 1 or not classifier.layer(names[0]).maps:
        return None
    try:
        return names[0], classifier.receptive_field(names[0])
    except ModelError:
        return None


def _places(outputs: Floats, seed: Floats) -> tuple[Integers, Integers, Floats]:
    """Where a unit is the strongest in each image, and how strong: the sum over the channels, each with its weight.

    Args:
        outputs: (N, h, w, K), of the layer.
        seed: (h, w, K), the weights; those of a mean are the same everywhere, those of a neuron 0 but at its place.

    Returns:
        The rows, columns and values, (N,) each.
    """
    at = np.where((seed != 0).any(axis=-1), outputs @ seed.sum(axis=(0, 1)), -np.inf).reshape(len(outputs), -1)
    places = at.argmax(axis=1)
    rows, columns = np.unravel_index(places, seed.shape[:2])
    return rows, columns, at[np.arange(len(at)), places]
