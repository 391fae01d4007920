"""Evaluates digit classifiers on MNIST."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cnnexplain.errors import ModelError, UsageError
from cnnexplain.inputs.presets import MNIST

if TYPE_CHECKING:
    from jaxtyping import Int64

    from cnnexplain.model.classifier import Classifier


@dataclass(frozen=True)
class Evaluation:
    """The performance of a classifier.

    Args:
        accuracy: From 0 to 1.
        loss: The log loss, in nats per image.
        confusion: The number of images for each pair [true digit, predicted digit].
    """

    accuracy: float
    loss: float
    confusion: Int64[np.ndarray, "K K"]


def evaluate(classifier: Classifier, split: str = "test") -> Evaluation:
    """Evaluates a classifier of 28×28 gray images on MNIST.

    Args:
        classifier: A classifier with ten classes.
        split: "test" (10,000 images) or "train" (60,000).

    Raises:
        UsageError: The classifier takes other images, or has another number of classes.
        ModelError: Its outputs are not finite.
    """
    preprocess = classifier.preprocess
    outputs = len(MNIST.dataset.labels)
    if not MNIST.can_evaluate(preprocess.shape, len(classifier.labels)):
        size = "×".join(map(str, MNIST.shape))
        raise UsageError(f"{classifier!r} can't be evaluated on {MNIST.name}, which needs {size} → {outputs} classes.")
    pixels, classes = MNIST.dataset.load(split)
    images = pixels[..., None].astype(np.float32) / 255
    inputs = preprocess.encode(images)
    if not preprocess.keeps(*MNIST.dataset.shape):
        inputs = np.stack([preprocess.apply(image, invert=False)[0] for image in images])
    logits = classifier.logits(inputs).astype(np.float64)
    if not np.isfinite(logits).all():
        raise ModelError(f"{classifier!r} returns values that are not finite (NaN or infinity).")
    logits -= logits.max(axis=1, keepdims=True)
    true_logits = logits[np.arange(len(classes)), classes]
    confusion = np.zeros((outputs, outputs), np.int64)
    np.add.at(confusion, (classes, logits.argmax(axis=1)), 1)
    loss = float(np.mean(np.log(np.exp(logits).sum(axis=1)) - true_logits))
    return Evaluation(float(np.trace(confusion) / len(classes)), loss, confusion)
