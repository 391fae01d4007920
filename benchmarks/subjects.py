"""The networks and images of the benchmarks, each network also as the plain Keras models that the limits call."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any

import keras
import numpy as np

import cnnexplain as cx

PHOTOS = Path(__file__).parent.parent / "examples" / "photos"


class Subject:
    """A classifier with its images, and its Keras model cut into parts whose outputs are scores, not probabilities.

    Args:
        name: The name in tables.
        classifier: The classifier that is explained.
        images: Distinct images in the model's input range, (N, H, W, C).
        batch: The number of images that a limit computes at once.
        last: The layer that Grad-CAM explains and whose strongest feature map occlusion records.
    """

    def __init__(self, name: str, classifier: cx.Classifier, images: np.ndarray, batch: int, last: str) -> None:
        self.name, self.classifier, self.images, self.batch, self.last = name, classifier, images, batch, last

    @property
    def model(self) -> Any:
        """The Keras model."""
        return self.classifier.model

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
    def black(self) -> np.ndarray:
        """The value of a black pixel, (C,)."""
        return np.asarray(self.classifier.preprocess.black)


def _same(x: Any) -> Any:
    return x


def lenet() -> Subject:
    """The included LeNet, with test digits."""
    classifier = cx.load()
    digits = cx.read_images([f"mnist:test/{index}" for index in range(1024)], classifier)
    return Subject("LeNet", classifier, np.asarray(digits), 256, "relu2")


def lite0() -> Subject:
    """EfficientNet-lite0, with the photographs of the examples."""
    classifier = cx.load("efficientnet-lite0")
    photos = cx.read_images(sorted(PHOTOS.glob("*.jpg")), classifier)
    return Subject("EfficientNet-lite0", classifier, np.asarray(photos), 8, "head_relu")


def vgg16() -> Subject:
    """VGG16 with random weights, as only the time counts, with a photograph."""
    keras.utils.set_random_seed(0)
    model = keras.applications.VGG16(weights=None)
    classifier = cx.load(model, preprocess=cx.Preprocess(224, 224, "rgb", 1.0, (127,), (128,)))
    photo = cx.read_images(PHOTOS / "cat.jpg", classifier)
    return Subject("VGG16", classifier, np.asarray(photo), 8, "block5_conv3")


@cache
def subject(name: str) -> Subject:
    """The network of a name, loaded once."""
    return {"LeNet": lenet, "EfficientNet-lite0": lite0, "VGG16": vgg16}[name]()
