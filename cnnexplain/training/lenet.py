"""Trains the LeNet: schedule, choice of the best epoch, and writing of the file."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from cnnexplain import backend, files
from cnnexplain.inputs.presets import MNIST
from cnnexplain.interruption import plainly
from cnnexplain.loading import sidecar
from cnnexplain.model.lenet import build
from cnnexplain.training.augmentation import augmented, prefetch

if TYPE_CHECKING:
    from jaxtyping import Integer, UInt8

VALIDATION = 5_000
"""The last training images choose the best epoch, and are not used for training."""

VALIDATION_BATCH = 1_000
"""The number of validation images that are classified at once."""

RATE, WARMUP, DECAY = 3e-3, 0.15, 0.2
"""The highest learning rate, the share of the steps in which it is reached, and the decoupled weight decay."""

SIDECAR: dict[str, Any] = MNIST.settings
"""The settings of the input in the sidecar of a LeNet."""


@dataclass(frozen=True)
class Progress:
    """The progress of a training.

    Args:
        epoch: The current epoch, from 1.
        epochs: The number of epochs.
        step: The current step of the epoch.
        steps: The number of steps of an epoch.
        loss: The mean loss in the epoch so far.
        accuracy: The mean accuracy in the epoch so far.
        validation: The log loss and the accuracy on the validation images, at the end of the epoch.
    """

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    accuracy: float
    validation: tuple[float, float] | None = None


@dataclass(frozen=True)
class Training:
    """The outcome of a training.

    Args:
        epoch: The best epoch; 0 if no epoch was finished.
        loss: Its log loss on the validation images.
        accuracy: Its accuracy on the validation images.
        interrupted: Whether Ctrl-C ended the training.
    """

    epoch: int
    loss: float
    accuracy: float
    interrupted: bool


def train(
    path: Path,
    *,
    epochs: int = 9,
    batch_size: int = 64,
    seed: int = 0,
    progress: Callable[[Progress], None] = lambda _: None,
    images: UInt8[np.ndarray, "N 28 28"] | None = None,
    digits: Integer[np.ndarray, " N"] | None = None,
) -> Training:
    """Trains a LeNet, and writes the model of the epoch with the lowest log loss on the validation images.

    The optimizer is AdamW with a warm-up and a cosine decay. Images are deformed at random. The file is written after every
    epoch that is better than all before. Ctrl-C ends the training and keeps the best model so far.

    Args:
        path: The `.keras` file to write, with its sidecar next to it. Existing files are replaced.
        epochs: The number of passes through the training images.
        batch_size: Images per step.
        seed: Determines the initial weights, the order of the images and their deformation.
        progress: Called after every step; with TensorFlow, after every 16 steps and at the end of an epoch.
        images: (N, 28, 28) uint8, by default the training split of MNIST. The last 5,000 are for validation, or the last
            tenth of fewer than 50,000.
        digits: (N,), the classes of the images.

    Raises:
        OutputError: The file can't be written.
    """
    if images is None or digits is None:
        images, digits = MNIST.dataset.load("train")
    digits = digits.astype(np.int64)
    split = len(images) - min(VALIDATION, len(images) // 10)
    steps = math.ceil(split / batch_size)
    validation = images[split:, ..., None].astype(np.float32) / 255, digits[split:]
    model = build(seed)
    model.compile(
        keras.optimizers.AdamW(learning_rate(epochs * steps), weight_decay=DECAY),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile=backend.current().JIT,
        steps_per_execution=backend.current().STEPS,
    )
    keeper = _Keeper(path, epochs, steps, progress)
    interrupted = False
    try:
        with plainly(), prefetch(partial(augmented, images[:split], digits[:split], seed), epochs) as augmented_epochs:
            for epoch, (x, y) in enumerate(augmented_epochs):
                # Arrays are faster than a generator, which Keras would call for each batch.
                model.fit(
                    x,
                    y,
                    batch_size,
                    initial_epoch=epoch,
                    epochs=epoch + 1,
                    shuffle=False,
                    verbose=0,
                    callbacks=[keeper],
                    validation_data=validation,
                    validation_batch_size=VALIDATION_BATCH,
                )
    except KeyboardInterrupt:
        interrupted = True
        keeper.write()
    return Training(keeper.best_epoch, keeper.best_loss, keeper.best_accuracy, interrupted)


def learning_rate(steps: int) -> Any:
    """A schedule of `steps` steps: linearly from a tenth of the highest learning rate, then along a cosine to 0."""
    warmup = math.ceil(WARMUP * steps)
    return keras.optimizers.schedules.CosineDecay(RATE / 10, max(1, steps - warmup), warmup_target=RATE, warmup_steps=warmup)


class _Keeper(keras.callbacks.Callback):  # type: ignore[misc]
    """Writes the model whenever an epoch's validation loss is the lowest so far, and reports progress."""

    def __init__(self, path: Path, epochs: int, steps: int, progress: Callable[[Progress], None]) -> None:
        super().__init__()
        self._path, self._epochs, self._steps, self._progress = path, epochs, steps, progress
        self._epoch = 1
        # A model without the optimizer's state, which would make the file three times as large.
        self._best = build(seed=None)
        self._unwritten = False
        self.best_epoch, self.best_loss, self.best_accuracy = 0, float("inf"), 0.0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        self._epoch = epoch + 1

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        # Keras counts whole blocks of steps, although the last one may be shorter.
        self._report(min(batch + 1, self._steps), logs, None)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        loss, accuracy = float(logs["val_loss"]), float(logs["val_accuracy"])
        if loss < self.best_loss:
            self._best.set_weights(self.model.get_weights())
            self._unwritten = True
            self.best_epoch, self.best_loss, self.best_accuracy = epoch + 1, loss, accuracy
            self.write()
        self._report(self._steps, logs, (loss, accuracy))

    def write(self) -> None:
        """Writes the best model and its sidecar, unless they have been written since the best epoch."""
        if not self._unwritten:
            return
        with files.replacing(self._path) as temporary:
            self._best.save(temporary)
        figures = {
            "epoch kept": f"{self.best_epoch} of {self._epochs}",
            "validation log loss": round(self.best_loss, 4),
            "validation accuracy": round(self.best_accuracy, 4),
        }
        sidecar.write(sidecar.place(self._path), {**SIDECAR, "training_figures": figures})
        self._unwritten = False

    def _report(self, step: int, logs: Any, validation: tuple[float, float] | None) -> None:
        self._progress(
            Progress(self._epoch, self._epochs, step, self._steps, float(logs["loss"]), float(logs["accuracy"]), validation)
        )
