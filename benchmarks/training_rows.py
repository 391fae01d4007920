"""The rows of the training of the LeNet, against a bare `fit` of the same network."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np

from benchmarks.rows import Row
from benchmarks.timing import local
from cnnexplain import backend
from cnnexplain.inputs.presets import MNIST
from cnnexplain.model import lenet
from cnnexplain.training import lenet as training

BATCH, FEW, VALIDATION = 64, 12_800, 5_000
"""The number of images of a step, of a short training, and for validation."""

ACCURACY, PLAIN_EPOCHS = 0.994, 10
"""The accuracy on the test digits that a training must reach, and in how many plain epochs' time."""


def training_steps() -> Iterator[Row]:
    """One epoch over a part of the digits, with everything that the product does, and bare."""
    images, digits = MNIST.dataset.load("train")
    images, digits = images[:FEW], digits[:FEW]

    def ours() -> None:
        with tempfile.TemporaryDirectory() as folder:
            training.train(Path(folder) / "lenet.keras", epochs=1, batch_size=BATCH, images=images, digits=digits)

    steps = (FEW - FEW // 10) // BATCH
    timers = {"ours": local(ours), "limit": local(lambda: _fit(images, digits, FEW // 10))}
    yield Row(f"training, {steps} steps", "LeNet", timers, 1.0, repeat=False)


def training_full() -> Iterator[Row]:
    """The default training to its full accuracy, against one plain epoch."""
    images, digits = MNIST.dataset.load("train")

    def ours() -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "lenet.keras"
            training.train(path, batch_size=BATCH)
            model = lenet.restore(path)
        tests, expected = MNIST.dataset.load("test")
        accuracy = (model.predict(_scaled(tests), verbose=0).argmax(axis=1) == expected).mean()
        if accuracy < ACCURACY:
            raise ValueError(f"The training reached {accuracy:.2%} of the test digits; expected {ACCURACY:.1%}.")

    timers = {"ours": local(ours), "limit": local(lambda: _fit(images, digits, VALIDATION))}
    yield Row(f"training to {ACCURACY:.1%} / 1 plain epoch", "LeNet", timers, PLAIN_EPOCHS, once=True)


def _fit(images: np.ndarray, digits: np.ndarray, validation: int) -> None:
    """One epoch of the network with the same optimizer on digits as they are."""
    model: Any = lenet.build()
    model.compile(
        keras.optimizers.AdamW(training.RATE, weight_decay=training.DECAY),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile=backend.current().JIT,
    )
    x, y = _scaled(images), digits.astype(np.int64)
    model.fit(
        x[:-validation], y[:-validation], BATCH, epochs=1, verbose=0, validation_data=(x[-validation:], y[-validation:])
    )


def _scaled(images: np.ndarray) -> np.ndarray:
    return images[..., None].astype(np.float32) / 255
