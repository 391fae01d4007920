"""A network with its images, as the limits and the peers see it: a plain Keras model, without cnnexplain."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import keras
import numpy as np


@dataclass(frozen=True, eq=False)
class Subject:
    """A network and images.

    Args:
        name: The name in tables.
        model: The Keras model, which returns probabilities.
        images: Distinct images in the model's input range, (N, H, W, C).
        batch: The number of images that a limit computes at once.
        last: The layer that Grad-CAM explains and whose strongest feature map occlusion records.
        colors: The values of black, gray and white, (3, C).
        classifier: The model as a classifier of cnnexplain; None in the environment of a peer.
    """

    name: str
    model: Any
    images: np.ndarray
    batch: int
    last: str
    colors: np.ndarray
    classifier: Any = None

    def take(self, count: int) -> np.ndarray:
        """`count` images, repeated if there are fewer."""
        return np.concatenate([self.images] * -(-count // len(self.images)))[:count]

    def part(self, first: str | None, last: str) -> Any:
        """The Keras model from the output of one layer (None for the input) to the output of another."""
        start = self.model.inputs[0] if first is None else self.model.get_layer(first).output
        return keras.Model(start, self.model.get_layer(last).output)

    def inference(self, first: str | None, last: str) -> Callable[[Any], Any]:
        """The function from the output of one layer (None for the input) to the output of another."""
        return _same if first == last else partial(self.part(first, last), training=False)

    def scores(self, first: str | None = None) -> Callable[[Any], Any]:
        """The function from the output of a layer (None for the input) to the scores before the softmax."""
        before, final = self.model.layers[-2:]
        inner = self.inference(first, before.name)
        # A softmax after the scores is left out, either as a layer of its own or as the activation of the last layer.
        return (lambda x: keras.ops.matmul(inner(x), final.kernel) + final.bias) if final.weights else inner

    @cached_property
    def linear(self) -> Any:
        """A Keras model of the scores before the softmax."""
        before, final = self.model.layers[-2:]
        output = before.output
        if final.weights:
            scores = keras.layers.Dense(final.units, name="scores")
            output = scores(output)
            scores.set_weights(final.get_weights())
        return _copy(self.model.inputs, output)

    @property
    def targets(self) -> np.ndarray:
        """The predicted class of each image, (N,)."""
        return np.concatenate(
            [
                keras.ops.convert_to_numpy(self.model(self.images[start : start + self.batch], training=False)).argmax(
                    axis=1
                )
                for start in range(0, len(self.images), self.batch)
            ]
        )

    def save(self, folder: Path) -> None:
        """Writes what `load` reads."""
        self.model.save(folder / f"{self.name}.keras")
        path = folder / f"{self.name}.npz"
        np.savez(path, images=self.images, batch=self.batch, last=self.last, colors=self.colors)

    @classmethod
    def load(cls, folder: Path, name: str) -> Subject:
        """Reads a network and its images in the environment of a peer."""
        values = np.load(folder / f"{name}.npz")
        model = keras.models.load_model(folder / f"{name}.keras", compile=False)
        return cls(
            name,
            _copy(model.inputs, model.outputs[0]),
            values["images"],
            int(values["batch"]),
            str(values["last"]),
            values["colors"],
        )


def _same(x: Any) -> Any:
    return x


def _copy(inputs: Any, output: Any) -> Any:
    """A functional model whose layers are part of no other graph, as they are after a sequential model is loaded."""
    model = keras.Model(inputs, output)
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    return copy
