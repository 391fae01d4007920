"""Training the LeNet: the images and how they are changed, the best epoch, and the file that is written."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from cnnexplain import backend, files
from cnnexplain.inputs import datasets
from cnnexplain.interruption import plainly
from cnnexplain.loading import sidecar
from cnnexplain.model.lenet import build
from cnnexplain.types import Array, Floats, Integers

VALIDATION = 5_000
"""How many of the last training images choose the best epoch, and are not trained on."""

RATE, DECAY = 2e-3, 0.2
"""The first learning rate, which falls to 0 along a cosine, and the decoupled weight decay."""

SIDECAR: dict[str, Any] = {
    "size": [28, 28],
    "color": "gray",
    "scale": "1/255",
    "fit": "digit",
    "labels": [str(digit) for digit in range(10)],
}
"""What the sidecar of a LeNet says of its input."""

SHIFT, ROTATION, ZOOM = 1.5, 10.0, 0.1
"""The largest shift in pixels, rotation in degrees and relative change of size that a training image gets."""


@dataclass(frozen=True)
class Progress:
    """How far a training has come: `step` of `steps` of `epoch` (from 1) of `epochs`, with the epoch's means so far."""

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    accuracy: float
    validation: tuple[float, float] | None = None
    """Log loss and accuracy on the validation images, once the epoch is over."""


@dataclass(frozen=True)
class Training:
    """How a training ended: the best epoch (0 where none was finished), its validation figures, and whether by Ctrl-C."""

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
    images: Array | None = None,
    digits: Array | None = None,
) -> Training:
    """Trains a LeNet and keeps at `path` the model of the epoch with the lowest log loss on the validation images.

    AdamW with a cosine decay, on images that are shifted, rotated and zoomed at random. The file is written after every
    epoch that is better than those before it. Ctrl-C ends the training and keeps the best model so far.

    Args:
        path: Where to write the `.keras` file; its sidecar, which says what its input is, is written beside it. Both replace
            what is there.
        epochs: How many times to go through the training images.
        batch_size: Images per step.
        seed: Decides the first weights, the order of the images and their changes.
        progress: Called after every step.
        images: (N, 28, 28) uint8, the whole training set of MNIST unless given. The last 5,000, or the last tenth where
            there are fewer than 50,000, are for validation.
        digits: (N,), what the images show.

    Raises:
        OutputError: The file can't be written.
    """
    if images is None or digits is None:
        images, digits = datasets.mnist("train")
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


def affine(count: int, random: np.random.Generator) -> Floats:
    """Random small shifts, rotations and zooms about the middle of a 28×28 image, as rows for `keras.ops.image`.

    Returns:
        (count, 8): each row maps an output pixel to the input pixel that it is read from.
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
    """Batches of changed images, in another order each epoch."""

    def __init__(self, images: Floats, digits: Integers, batch_size: int, seed: int) -> None:
        super().__init__()
        self._images, self._digits, self._batch_size = images, digits, batch_size
        self._random = np.random.default_rng(seed)
        self.on_epoch_end()

    def __len__(self) -> int:
        return math.ceil(len(self._images) / self._batch_size)

    def __getitem__(self, index: int) -> tuple[Floats, Integers]:
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
            # A fresh model leaves the optimizer's state, twice the size of the weights, out of the file.
            kept = build()
            kept.set_weights(self.model.get_weights())
            self._unwritten = kept
            self.best_epoch, self.best_loss, self.best_accuracy = epoch + 1, loss, accuracy
            self.write()
        self._report(self._steps, logs, (loss, accuracy))

    def write(self) -> None:
        """Writes the best model and its sidecar, if an interruption has not let them be written whole."""
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
