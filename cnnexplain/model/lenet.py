"""The LeNet of the nano-book: untrained, or with the weights of a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np

from cnnexplain.inputs.presets import MNIST

INCLUDED_FIGURES = {"epoch kept": "8 of 15", "validation log loss": 0.0187, "validation accuracy": 0.9964}
"""Figures of the training of the included LeNet, as printed by `cnnexplain train`."""


def build(seed: int | None = 0) -> Any:
    """The untrained network: 28×28×1 in [0, 1] → 10 probabilities, 268,820 parameters.

    Args:
        seed: The seed for its weights; None for zeros.
    """
    seeds = (int(word) for word in np.random.SeedSequence(seed).generate_state(4))

    def start() -> Any:
        return "zeros" if seed is None else keras.initializers.GlorotUniform(seed=next(seeds))

    # Explicit, so that the global settings of Keras do not change the network.
    real = {"dtype": "float32"}
    last = {**real, "data_format": "channels_last"}
    return keras.Sequential(
        [
            keras.Input(MNIST.shape, **real),
            keras.layers.Conv2D(30, 5, kernel_initializer=start(), name="conv1", **last),
            keras.layers.ReLU(name="relu1", **real),
            keras.layers.MaxPooling2D(name="pool1", **last),
            keras.layers.Conv2D(30, 5, kernel_initializer=start(), name="conv2", **last),
            keras.layers.ReLU(name="relu2", **real),
            keras.layers.MaxPooling2D(name="pool2", **last),
            keras.layers.Flatten(name="flatten", **last),
            keras.layers.Dense(500, activation="relu", kernel_initializer=start(), name="dense", **real),
            keras.layers.Dense(
                len(MNIST.dataset.labels), activation="softmax", kernel_initializer=start(), name="probabilities", **real
            ),
        ],
        # Loading recognizes the input by this name.
        name=MNIST.model_name,
    )


def restore(path: Path) -> Any:
    """The network with the weights of a file that `cnnexplain train` wrote.

    An older Keras may be unable to read the layers in a file of a newer one, but every version can read the weights.
    """
    # Random initial weights would take JAX seconds to compile, and are replaced anyway.
    model = build(seed=None)
    model.load_weights(path)
    return model
