"""Trains the small networks of the cases, the same way every time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from cnnexplain import backend
from cnnexplain.evaluation.truth.layers import LAST, REAL

if TYPE_CHECKING:
    from jaxtyping import Float32, Int64

layers = keras.layers


def convolutional(shape: tuple[int, int, int], classes: int, name: str, seed: int, *, kernel: int = 3) -> Any:
    """An untrained network with two convolutions and one hidden layer."""
    seeds = (int(word) for word in np.random.SeedSequence(seed).generate_state(4))

    def start() -> Any:
        return keras.initializers.GlorotUniform(seed=next(seeds))

    return keras.Sequential(
        [
            keras.Input(shape, **REAL),
            layers.Conv2D(8, kernel, padding="same", kernel_initializer=start(), name="conv1", **LAST),
            layers.ReLU(name="relu1", **REAL),
            layers.MaxPooling2D(name="pool1", **LAST),
            layers.Conv2D(16, kernel, padding="same", kernel_initializer=start(), name="conv2", **LAST),
            layers.ReLU(name="relu2", **REAL),
            layers.MaxPooling2D(name="pool2", **LAST),
            layers.Flatten(name="flatten", **LAST),
            layers.Dense(64, "relu", kernel_initializer=start(), name="dense", **REAL),
            layers.Dense(classes, "softmax", kernel_initializer=start(), name="probabilities", **REAL),
        ],
        name=name,
    )


def train(
    model: Any,
    images: Float32[np.ndarray, "N H W C"],
    classes: Int64[np.ndarray, " N"],
    epochs: int,
    seed: int,
    *,
    rate: float = 2e-3,
) -> None:
    """Trains a network with Adam, whose learning rate decreases to 0, on images in an order that the seed determines."""
    batch = 64
    random = np.random.default_rng(seed)
    schedule = keras.optimizers.schedules.CosineDecay(rate, epochs * -(-len(images) // batch))
    model.compile(keras.optimizers.Adam(schedule), "sparse_categorical_crossentropy", jit_compile=backend.current().JIT)
    for _ in range(epochs):
        order = random.permutation(len(images))
        model.fit(images[order], classes[order], batch_size=batch, epochs=1, shuffle=False, verbose=0)
