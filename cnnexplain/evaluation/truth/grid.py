"""A grid of digits of which each output of the network sees a single cell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras
import numpy as np

from cnnexplain.evaluation.truth.case import Case
from cnnexplain.evaluation.truth.layers import LAST, REAL
from cnnexplain.inputs.datasets import asset
from cnnexplain.inputs.preprocess import Preprocess
from cnnexplain.inputs.presets import MNIST
from cnnexplain.loading import loader
from cnnexplain.model import lenet

if TYPE_CHECKING:
    from jaxtyping import Float32, Int64

    from cnnexplain.model.classifier import Classifier

CELLS = 2
"""Rows and columns of the grid."""

layers = keras.layers


def disconnected_grid(count: int, seed: int) -> Case:
    """A grid of digits with a classification head for each cell, which sees only that cell.

    The images are those of the grid pointing game (Böhle et al. 2021), with digits of different classes. As in DiFull (Rao
    et al. 2022), no head is connected to the other cells. The weights are those of the included LeNet. The logit of the
    digit in one cell is explained.
    """
    random = np.random.default_rng(seed)
    classifier = _classifier()
    images, digits = _images(count, random)
    cells = random.permutation(np.arange(count) % CELLS**2)
    shape = (count, CELLS, MNIST.shape[0], CELLS, MNIST.shape[1])
    masks = np.zeros(shape, bool)
    masks[np.arange(count), cells // CELLS, :, cells % CELLS] = True
    return Case(
        "grid",
        "Four digits, and a logit of each digit in each cell that depends on that cell only.",
        classifier,
        images,
        len(MNIST.dataset.labels) * cells + digits[np.arange(count), cells],
        masks.reshape(images.shape[:3]),
        "both",
    )


def _classifier() -> Classifier:
    """The LeNet applied to a grid of images at once.

    The strides of its pooling divide the size of a cell. So the feature maps of a cell are a part of those of the grid, and
    no receptive field in that part reaches another cell.
    """
    source = lenet.restore(asset("lenet.keras"))
    height, width, channels = MNIST.shape
    image = keras.Input((CELLS * height, CELLS * width, channels), **REAL)
    x = image
    for layer in source.layers[:6]:
        x = type(layer).from_config(layer.get_config())(x)
    rows, columns, _ = source.get_layer("pool2").output.shape[1:]
    scores = []
    for row, column in np.ndindex(CELLS, CELLS):
        top, left = row * (x.shape[1] - rows), column * (x.shape[2] - columns)
        part = ((top, x.shape[1] - rows - top), (left, x.shape[2] - columns - left))
        cell = layers.Flatten(**LAST)(layers.Cropping2D(part, **LAST)(x))
        cell = layers.Dense(500, "relu", name=f"dense_{row}{column}", **REAL)(cell)
        scores.append(layers.Dense(10, name=f"digits_{row}{column}", **REAL)(cell))
    x = layers.Activation("sigmoid", name="probabilities", **REAL)(layers.Concatenate(name="scores", **REAL)(scores))
    model = keras.Model(image, x, name="grid")
    for layer in model.layers:
        name = layer.name.partition("_")[0].replace("digits", "probabilities")
        if layer.get_weights():
            layer.set_weights(source.get_layer(name).get_weights())
    labels = [f"{digit} in cell {row},{column}" for row, column in np.ndindex(CELLS, CELLS) for digit in range(10)]
    return loader.load(model, preprocess=Preprocess(CELLS * height, CELLS * width, "gray"), labels=labels)


def _images(
    count: int, random: np.random.Generator
) -> tuple[Float32[np.ndarray, "{count} H W 1"], Int64[np.ndarray, "{count} cells"]]:
    """Grids of test digits that the LeNet classifies correctly, of different classes in the cells of each grid."""
    pixels, classes = MNIST.dataset.load("test")
    chosen = random.permutation(len(pixels))[: 20 * CELLS**2 * count]
    digits = pixels[chosen, ..., None].astype(np.float32) / 255
    correct = loader.load().logits(digits).argmax(axis=1) == classes[chosen]
    found = [list(digits[correct & (classes[chosen] == digit)]) for digit in range(10)]
    cells = np.array([random.permutation(10)[: CELLS**2] for _ in range(count)], np.int64)
    grids = np.array([[found[digit].pop() for digit in each] for each in cells])
    grids = grids.reshape(count, CELLS, CELLS, *MNIST.shape).transpose(0, 1, 3, 2, 4, 5)
    return np.ascontiguousarray(grids.reshape(count, CELLS * MNIST.shape[0], CELLS * MNIST.shape[1], 1)), cells
