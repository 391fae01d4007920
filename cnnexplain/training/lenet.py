"""Trains the LeNet: augmentation, choice of the best epoch, and writing of the file."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from cnnexplain import backend, files
from cnnexplain.inputs.presets import MNIST
from cnnexplain.interruption import plainly
from cnnexplain.loading import sidecar
from cnnexplain.model.lenet import build

if TYPE_CHECKING:
    from jaxtyping import Float32, Int64, Integer, UInt8

VALIDATION = 5_000
"""The last training images choose the best epoch, and are not used for training."""

RATE, DECAY = 2e-3, 0.2
"""The initial learning rate, which decreases to 0 along a cosine, and the decoupled weight decay."""

SIDECAR: dict[str, Any] = MNIST.settings
"""The settings of the input in the sidecar of a LeNet."""

SHIFT, ROTATION, ZOOM = 1.5, 10.0, 0.1
"""The maximum shift in pixels, rotation in degrees and relative change of size of a training image."""


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
    epochs: int = 15,
    batch_size: int = 64,
    seed: int = 0,
    progress: Callable[[Progress], None] = lambda _: None,
    images: UInt8[np.ndarray, "N 28 28"] | None = None,
    digits: Integer[np.ndarray, " N"] | None = None,
) -> Training:
    """Trains a LeNet, and writes the model of the epoch with the lowest log loss on the validation images.

    The optimizer is AdamW with a cosine decay. Images are shifted, rotated and zoomed at random. The file is written after
    every epoch that is better than all before. Ctrl-C ends the training and keeps the best model so far.

    Args:
        path: The `.keras` file to write, with its sidecar next to it. Existing files are replaced.
        epochs: The number of passes through the training images.
        batch_size: Images per step.
        seed: Determines the initial weights, the order of the images and their augmentation.
        progress: Called after every step.
        images: (N, 28, 28) uint8, by default the training split of MNIST. The last 5,000 are for validation, or the last
            tenth of fewer than 50,000.
        digits: (N,), the classes of the images.

    Raises:
        OutputError: The file can't be written.
    """
    if images is None or digits is None:
        images, digits = MNIST.dataset.load("train")
    x, y = images[..., None].astype(np.float32) / 255, digits.astype(np.int64)
    split = len(x) - min(VALIDATION, len(x) // 10)
    batches = _Augmented(x[:split], y[:split], batch_size, seed)
    model = build(seed)
    schedule = keras.optimizers.schedules.CosineDecay(RATE, epochs * len(batches))
    model.compile(
        keras.optimizers.AdamW(schedule, weight_decay=DECAY),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile=backend.current().JIT,
    )
    keeper = _Keeper(path, epochs, len(batches), progress)
    interrupted = False
    try:
        with plainly():
            model.fit(
                batches,
                epochs=epochs,
                shuffle=False,
                verbose=0,
                callbacks=[keeper],
                validation_data=(x[split:], y[split:]),
            )
    except KeyboardInterrupt:
        interrupted = True
        keeper.write()
    return Training(keeper.best_epoch, keeper.best_loss, keeper.best_accuracy, interrupted)


def affine(count: int, random: np.random.Generator) -> Float32[np.ndarray, "{count} 8"]:
    """Random small shifts, rotations and zooms about the center of a 28×28 image, for `keras.ops.image.affine_transform`.

    Returns:
        (count, 8): each row maps an output pixel to the input pixel from which it is read.
    """
    angle = np.deg2rad(random.uniform(-ROTATION, ROTATION, count))
    size = 1 + random.uniform(-ZOOM, ZOOM, count)
    right, down = random.uniform(-SHIFT, SHIFT, (2, count))
    cos, sin, middle = size * np.cos(angle), size * np.sin(angle), 13.5
    across = middle - middle * cos + middle * sin + right
    along = middle - middle * sin - middle * cos + down
    zero = np.zeros(count)
    return np.stack([cos, -sin, across, sin, cos, along, zero, zero], axis=1).astype(np.float32)


class _Augmented(keras.utils.PyDataset):  # type: ignore[misc]  # Keras has no types.
    """Batches of augmented images, in a new order each epoch."""

    def __init__(
        self, images: Float32[np.ndarray, "N H W 1"], digits: Int64[np.ndarray, " N"], batch_size: int, seed: int
    ) -> None:
        super().__init__()
        self._images, self._digits, self._batch_size = images, digits, batch_size
        self._random = np.random.default_rng(seed)
        self.on_epoch_end()

    def __len__(self) -> int:
        return math.ceil(len(self._images) / self._batch_size)

    def __getitem__(self, index: int) -> tuple[Float32[np.ndarray, "n H W 1"], Int64[np.ndarray, " n"]]:
        picked = self._order[index * self._batch_size : (index + 1) * self._batch_size]
        moved = keras.ops.image.affine_transform(
            self._images[picked], affine(len(picked), self._random), "bilinear", "constant", data_format="channels_last"
        )
        return keras.ops.convert_to_numpy(moved), self._digits[picked]

    def on_epoch_end(self) -> None:
        self._order = self._random.permutation(len(self._images))


class _Keeper(keras.callbacks.Callback):  # type: ignore[misc]
    """Writes the model whenever an epoch's validation loss is the lowest so far, and reports progress."""

    def __init__(self, path: Path, epochs: int, steps: int, progress: Callable[[Progress], None]) -> None:
        super().__init__()
        self._path, self._epochs, self._steps, self._progress = path, epochs, steps, progress
        self._epoch = 1
        self._unwritten: Any = None
        self.best_epoch, self.best_loss, self.best_accuracy = 0, float("inf"), 0.0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        self._epoch = epoch + 1

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._report(batch + 1, logs, None)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        loss, accuracy = float(logs["val_loss"]), float(logs["val_accuracy"])
        if loss < self.best_loss:
            # A new model, so that the file does not contain the optimizer's state, twice the size of the weights.
            best = build()
            best.set_weights(self.model.get_weights())
            self._unwritten = best
            self.best_epoch, self.best_loss, self.best_accuracy = epoch + 1, loss, accuracy
            self.write()
        self._report(self._steps, logs, (loss, accuracy))

    def write(self) -> None:
        """Writes the best model and its sidecar, unless they have been written since the best epoch."""
        if self._unwritten is None:
            return
        with files.replacing(self._path) as temporary:
            self._unwritten.save(temporary)
        figures = {
            "epoch kept": f"{self.best_epoch} of {self._epochs}",
            "validation log loss": round(self.best_loss, 4),
            "validation accuracy": round(self.best_accuracy, 4),
        }
        sidecar.write(sidecar.place(self._path), {**SIDECAR, "training_figures": figures})
        self._unwritten = None

    def _report(self, step: int, logs: Any, validation: tuple[float, float] | None) -> None:
        self._progress(
            Progress(self._epoch, self._epochs, step, self._steps, float(logs["loss"]), float(logs["accuracy"]), validation)
        )
