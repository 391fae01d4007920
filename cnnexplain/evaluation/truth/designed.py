"""Networks with weights set by hand: the pixels on which a logit depends follow from the weights.

The images are random textures from 0 to 1. The outputs are independent sigmoids, so that the probability of a class depends
on the same pixels as its logit. Each network begins with a convolution, so that methods for feature maps apply as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from cnnexplain.evaluation.truth.case import Case
from cnnexplain.evaluation.truth.layers import LAST, REAL
from cnnexplain.inputs.preprocess import Preprocess
from cnnexplain.loading import loader

if TYPE_CHECKING:
    from jaxtyping import Bool, Float32, Int64

    from cnnexplain.model.classifier import Classifier
    from cnnexplain.types import Floats

SIDE, PATCH, BLOCK, CLASSES = 24, 8, 4, 4
"""Rows and columns of an image, of a patch and of a block of the convolution, and the number of classes."""

layers = keras.layers


def linear(count: int, seed: int) -> Case:
    """The logit is a weighted sum of the pixels of a patch."""
    random = np.random.default_rng(seed)
    patches = _patches(CLASSES, random)
    weights = patches * random.uniform(0.5, 1.5, patches.shape)
    weights *= 4 / weights.sum(axis=(1, 2), keepdims=True)
    model = keras.Sequential(
        [
            keras.Input((SIDE, SIDE, 1), **REAL),
            layers.Conv2D(1, 1, name="pixels", **LAST),
            layers.Flatten(**LAST),
            layers.Dense(CLASSES, "sigmoid", name="scores", **REAL),
        ],
        name="linear",
    )
    targets = _targets(count, CLASSES, random)
    return Case(
        "linear",
        "Each logit is a sum over the pixels of one patch, with positive weights.",
        _load(model, {"pixels": [np.ones((1, 1, 1, 1)), np.zeros(1)], "scores": [_columns(weights), np.full(CLASSES, -1)]}),
        _texture(count, random),
        targets,
        patches[targets],
        "for",
    )


def rectified_sum(count: int, seed: int) -> Case:
    """The logit is the mean of a patch minus a threshold, through a ReLU."""
    random = np.random.default_rng(seed)
    patches = _patches(CLASSES, random)
    model = keras.Sequential(
        [*_block_means(), _dense(CLASSES, "relu", "excess"), _dense(CLASSES, "sigmoid", "scores")], name="rectified_sum"
    )
    weights = {"excess": [_patch_means(patches), np.full(CLASSES, -0.3)], "scores": [8 * np.eye(CLASSES), np.zeros(CLASSES)]}
    targets = _targets(count, CLASSES, random)
    return Case(
        "rectified-sum",
        "Each logit is proportional to how far the mean of one patch exceeds 0.3.",
        _load(model, weights),
        _texture(count, random),
        targets,
        patches[targets],
        "for",
    )


def maximum(count: int, seed: int) -> Case:
    """The logit is the larger of the means of two patches, of which one is bright and the other dark."""
    random = np.random.default_rng(seed)
    patches = _patches(2 * CLASSES, random)
    image, *means = _block_means()
    flat = image
    for layer in means:
        flat = layer(flat)
    larger = layers.Maximum(name="larger", **REAL)([_dense(CLASSES, None, name)(flat) for name in ("first", "second")])
    model = keras.Model(image, _dense(CLASSES, "sigmoid", "scores")(larger), name="maximum")
    first, second = patches[:CLASSES], patches[CLASSES:]
    weights = {
        "first": [_patch_means(first), np.zeros(CLASSES)],
        "second": [_patch_means(second), np.zeros(CLASSES)],
        "scores": [4 * np.eye(CLASSES), np.full(CLASSES, -1)],
    }
    images, targets = _texture(count, random), _targets(count, CLASSES, random)
    bright, _ = _one_bright(images, first[targets], second[targets], random)
    return Case(
        "maximum",
        "Each logit is the larger of the means of two patches, so that only the brighter patch matters.",
        _load(model, weights),
        images,
        targets,
        bright,
        "for",
    )


def exclusive_or(count: int, seed: int) -> Case:
    """The logit is high if exactly one of two patches is bright."""
    random = np.random.default_rng(seed)
    patches = _patches(2 * CLASSES, random)
    model = keras.Sequential(
        [*_block_means(), _dense(2 * CLASSES, "relu", "differences"), _dense(CLASSES, "sigmoid", "scores")],
        name="exclusive_or",
    )
    means = _patch_means(patches[:CLASSES]) - _patch_means(patches[CLASSES:])
    weights = {
        "differences": [np.hstack([means, -means]), np.zeros(2 * CLASSES)],
        "scores": [4 * np.vstack([np.eye(CLASSES)] * 2), np.full(CLASSES, -1)],
    }
    images, targets = _texture(count, random), _targets(count, CLASSES, random)
    bright, dark = _one_bright(images, patches[targets], patches[CLASSES + targets], random)
    return Case(
        "exclusive-or",
        "Each logit is high if exactly one of two patches is bright, so that the dark patch matters as well.",
        _load(model, weights),
        images,
        targets,
        bright | dark,
        "both",
    )


def pooled_patterns(count: int, seed: int) -> Case:
    """The logit counts the blocks with a pattern, through global average pooling."""
    random = np.random.default_rng(seed)
    # Orthogonal patterns of −1 and 1, none of which is constant.
    signs = np.array([[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]])
    patterns = np.stack([np.outer(signs[1 + each // 2], signs[2 + each % 2]) for each in range(CLASSES)])
    patterns = patterns[random.permutation(CLASSES)] * random.choice([-1, 1], (CLASSES, 1, 1))
    model = keras.Sequential(
        [
            keras.Input((SIDE, SIDE, 1), **REAL),
            layers.Conv2D(CLASSES, BLOCK, strides=BLOCK, activation="relu", name="patterns", **LAST),
            layers.GlobalAveragePooling2D(name="average", **LAST),
            _dense(CLASSES, "sigmoid", "scores"),
        ],
        name="pooled_patterns",
    )
    blocks = (SIDE // BLOCK) ** 2
    weights = {
        # A pattern gives 6.4; other pixels from 0.3 to 0.7 give at most 3.2.
        "patterns": [patterns.transpose(1, 2, 0)[:, :, None], np.full(CLASSES, -4)],
        "scores": [blocks * np.eye(CLASSES), np.full(CLASSES, -1)],
    }
    targets = _targets(count, CLASSES, random)
    others = (targets + random.integers(1, CLASSES, count)) % CLASSES
    images = random.uniform(0.3, 0.7, (count, SIDE, SIDE, 1)).astype(np.float32)
    masks = np.zeros((count, SIDE, SIDE), bool)
    for index, both in enumerate(zip(targets, others, strict=True)):
        for label, block in zip(both, random.permutation(blocks)[:2], strict=True):
            top, left = (BLOCK * int(place) for place in divmod(block, SIDE // BLOCK))
            images[index, top : top + BLOCK, left : left + BLOCK, 0] = 0.5 + 0.4 * patterns[label]
            masks[index, top : top + BLOCK, left : left + BLOCK] = label == targets[index]
    return Case(
        "pooled-patterns",
        "Each logit counts one pattern anywhere in the image; the pattern of another class is there as well.",
        _load(model, weights),
        images,
        targets,
        masks,
        "both",
    )


def ignored_half(count: int, seed: int) -> Case:
    """A random network that does not look at the right half of the image."""
    random = np.random.default_rng(seed)
    filters, kernel = 8, 3
    model = keras.Sequential(
        [
            keras.Input((SIDE, SIDE, 1), **REAL),
            layers.Conv2D(filters, kernel, activation="relu", name="features", **LAST),
            layers.Flatten(**LAST),
            _dense(2, "sigmoid", "scores"),
        ],
        name="ignored_half",
    )
    side = SIDE - kernel + 1
    weights = random.normal(0, 4 / SIDE, (side, side, filters, 2))
    # Further right, the receptive fields of the units reach the right half.
    weights[:, SIDE // 2 - kernel + 1 :] = 0
    mask = np.arange(SIDE) < SIDE // 2
    features = [random.normal(0, 0.5, (kernel, kernel, 1, filters)), np.zeros(filters)]
    return Case(
        "ignored-half",
        "The weights of all units that see the right half of the image are zero; the others are random.",
        _load(model, {"features": features, "scores": [weights.reshape(-1, 2), np.zeros(2)]}),
        _texture(count, random),
        _targets(count, 2, random),
        np.broadcast_to(mask, (count, SIDE, SIDE)),
        "both",
    )


def _texture(count: int, random: np.random.Generator) -> Float32[np.ndarray, "{count} H W 1"]:
    """Random pixels, brighter than black, so that none of them equals a black baseline."""
    return random.uniform(0.1, 1, (count, SIDE, SIDE, 1)).astype(np.float32)


def _targets(count: int, classes: int, random: np.random.Generator) -> Int64[np.ndarray, " {count}"]:
    """Each class about as often as the others."""
    return random.permutation(np.arange(count) % classes)


def _patches(count: int, random: np.random.Generator) -> Bool[np.ndarray, "{count} H W"]:
    """Masks of different patches at random places of the grid."""
    cells = SIDE // PATCH
    chosen = np.eye(cells**2, dtype=bool)[random.permutation(cells**2)[:count]].reshape(count, cells, cells)
    return chosen.repeat(PATCH, axis=1).repeat(PATCH, axis=2)


def _one_bright(
    images: Float32[np.ndarray, "N H W 1"],
    first: Bool[np.ndarray, "N H W"],
    second: Bool[np.ndarray, "N H W"],
    random: np.random.Generator,
) -> tuple[Bool[np.ndarray, "N H W"], Bool[np.ndarray, "N H W"]]:
    """Makes one of two patches of each image bright and the other dark; returns the masks of both."""
    swap = random.permutation(np.arange(len(images)) % 2).astype(bool)[:, None, None]
    bright, dark = np.where(swap, second, first), np.where(swap, first, second)
    images[bright] = 0.7 + 0.3 * images[bright]
    images[dark] = 0.3 * images[dark]
    return bright, dark


def _block_means() -> list[Any]:
    """The input, and layers that compute the mean of each block of pixels."""
    return [
        keras.Input((SIDE, SIDE, 1), **REAL),
        layers.Conv2D(1, BLOCK, strides=BLOCK, name="blocks", **LAST),
        layers.Flatten(**LAST),
    ]


def _dense(units: int, activation: str | None, name: str) -> Any:
    return layers.Dense(units, activation, name=name, **REAL)


def _columns(masks: Floats | Bool[np.ndarray, "K H W"]) -> Floats:
    """The weights of a dense layer that multiplies a flat map by each of K maps."""
    return masks.reshape(len(masks), -1).T


def _patch_means(patches: Bool[np.ndarray, "K H W"]) -> Floats:
    """The weights of a dense layer that computes the means of patches from the means of blocks."""
    return _columns(patches[:, ::BLOCK, ::BLOCK] * (BLOCK / PATCH) ** 2)


def _load(model: Any, weights: Mapping[str, Sequence[Floats]]) -> Classifier:
    """The classifier of a model with these weights of its layers; a layer "blocks" computes means."""
    for layer in model.layers:
        if layer.name == "blocks":
            layer.set_weights([np.full((BLOCK, BLOCK, 1, 1), 1 / BLOCK**2), np.zeros(1)])
        elif layer.name in weights:
            layer.set_weights(list(weights[layer.name]))
    return loader.load(model, preprocess=Preprocess(SIDE, SIDE, "gray"))
