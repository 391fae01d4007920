"""How well a classifier of digits does on MNIST."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cnnexplain.errors import ModelError, UsageError
from cnnexplain.inputs import datasets
from cnnexplain.types import Integers

if TYPE_CHECKING:
    from cnnexplain.model.classifier import Classifier


@dataclass(frozen=True)
class Evaluation:
    """Accuracy (0 to 1), log loss (nats per image) and confusion matrix [true digit, predicted digit] of a classifier."""

    accuracy: float
    loss: float
    confusion: Integers


def evaluate(classifier: Classifier, split: str = "test") -> Evaluation:
    """Measures a classifier of 28×28 gray images on MNIST.

    Raises:
        UsageError: The classifier takes other images or does not tell ten classes apart.
        ModelError: Its outputs are not finite.
    """
    if classifier.preprocess.shape != (28, 28, 1) or len(classifier.labels) != 10:
        raise UsageError(f"{classifier!r} can't be evaluated on MNIST, which needs 28×28×1 → 10 classes.")
    images, digits = datasets.mnist(split)
    pictures = images[..., None].astype(np.float32) / 255
    preprocess = classifier.preprocess
    pixels = preprocess.encode(pictures)
    if not preprocess.keeps(28, 28):
        pixels = np.stack([preprocess.apply(picture, invert=False)[0] for picture in pictures])
    logits = classifier.logits(pixels).astype(np.float64)
    if not np.isfinite(logits).all():
        raise ModelError(f"{classifier!r} gives values that are not finite (NaN or infinity).")
    logits -= logits.max(axis=1, keepdims=True)
    own = logits[np.arange(len(digits)), digits]
    confusion = np.zeros((10, 10), np.int64)
    np.add.at(confusion, (digits, logits.argmax(axis=1)), 1)
    loss = float(np.mean(np.log(np.exp(logits).sum(axis=1)) - own))
    return Evaluation(float(np.trace(confusion) / len(digits)), loss, confusion)
