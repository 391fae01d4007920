"""Small models and images for the conformance checks, generated identically on every backend."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from cnnexplain.inputs.preprocess import Preprocess
from cnnexplain.loading import loader

if TYPE_CHECKING:
    from jaxtyping import Float32

    from cnnexplain.model.classifier import Classifier

layers = keras.layers


def _branches() -> Any:
    """Color images taller than wide, batch normalization, concatenation, a residual sum, depthwise filters, a softmax."""
    image = keras.Input((14, 10, 3))
    x = layers.Conv2D(6, 3, padding="same", name="stem")(image)
    x = first = layers.ReLU(name="stem_relu")(layers.BatchNormalization(name="stem_bn")(x))
    left = layers.Conv2D(3, 3, padding="same", activation="relu", name="left")(x)
    right = layers.Conv2D(3, 1, activation="relu", name="right")(x)
    x = layers.Add(name="sum")([first, layers.Concatenate(name="both")([left, right])])
    x = layers.DepthwiseConv2D(3, strides=2, name="depthwise")(x)
    x = layers.ReLU(name="depthwise_relu")(layers.BatchNormalization(name="depthwise_bn")(x))
    x = layers.Dropout(0.3, name="dropout")(layers.GlobalAveragePooling2D(name="average")(x))
    return keras.Model(image, layers.Softmax(name="softmax")(layers.Dense(5, name="scores")(x)), name="branches")


def _gray() -> Any:
    """Gray images wider than tall, consecutive convolutions, both kinds of pooling, one sigmoid unit for two classes."""
    return keras.Sequential(
        [
            keras.Input((12, 17, 1)),
            layers.Conv2D(4, 3, activation="relu", name="first"),
            layers.MaxPooling2D(name="largest"),
            layers.Conv2D(5, 3, activation="relu", name="second"),
            layers.AveragePooling2D((1, 2), name="mean"),
            layers.Flatten(name="flat"),
            layers.Dense(6, activation="relu", name="hidden"),
            layers.Dense(1, activation="sigmoid", name="score"),
        ],
        name="gray",
    )


MODELS: dict[str, Callable[[], Any]] = {"branches": _branches, "gray": _gray}
"""Functions that build the models, by the names of the models."""


def description(name: str) -> str:
    """What one of `MODELS` has, as the end of a sentence."""
    text = (MODELS[name].__doc__ or "").rstrip(".")
    return text[:1].lower() + text[1:]


def classifier(name: str) -> Classifier:
    """A new classifier with one of `MODELS`. Its weights are random with a fixed seed."""
    model = MODELS[name]()
    random = np.random.default_rng(0)
    for weight in model.weights:
        shape = tuple(weight.shape)
        positive = "variance" in weight.path or "gamma" in weight.path
        deviation = 1.4 / math.sqrt(max(1, math.prod(shape[:-1])))
        weight.assign(random.uniform(0.5, 1.5, shape) if positive else random.normal(0, deviation, shape))
    height, width, channels = model.inputs[0].shape[1:]
    return loader.load(model, preprocess=Preprocess(height, width, "gray" if channels == 1 else "rgb"))


def images(classifier: Classifier, count: int) -> Float32[np.ndarray, "count H W C"]:
    """Images (count, H, W, C) in the model's input range, the same in every call: noise, or digits with noise.

    No two pixels are equal. Otherwise rounding would decide between equal maxima.
    """
    preprocess = classifier.preprocess
    noise: Float32[np.ndarray, "count H W C"] = (
        np.random.default_rng(1).uniform(0, 1, (count, *preprocess.shape)).astype(np.float32)
    )
    if preprocess.preset is not None:
        samples, _ = preprocess.preset.dataset.load("test")
        noise = np.float32(0.1) * noise + np.float32(0.9) * (samples[:count, ..., None].astype(np.float32) / 255)
    return preprocess.encode(noise)
