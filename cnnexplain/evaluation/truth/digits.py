"""Digits beside a block without information, and digits with a mark that alone decides."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cnnexplain.evaluation.truth.case import Case, Limit, accuracy, trained
from cnnexplain.evaluation.truth.training import convolutional, train
from cnnexplain.inputs.preprocess import Preprocess
from cnnexplain.inputs.presets import MNIST
from cnnexplain.loading import loader

if TYPE_CHECKING:
    from jaxtyping import Bool, Float32, Int64

SIDE, MARK, LEVELS = 28, 4, 4
"""Rows and columns of a digit and of a mark, and the number of gray levels of marks."""

TRAINING, HELD_OUT = 8000, 1000
"""The numbers of images for training, and of those that are not used for it."""


def block_digits(count: int, seed: int, *, training: int = TRAINING, epochs: int = 4) -> Case:
    """A digit above or below a null block, which is the same in all images.

    BlockMNIST (Shah, Jain, Netrapalli 2021, arXiv:2102.12781).

    Raises:
        TruthError: Fewer than 90% of the images are classified correctly, or more than 25% without the digit.
    """
    random = np.random.default_rng(seed)
    digits, classes = _digits(training, random)
    above = random.permutation(np.arange(len(digits)) % 2).astype(bool)
    images, masks = stacked(digits, above)
    model = convolutional((2 * SIDE, SIDE, 1), 10, "block_digits", seed, kernel=5)
    train(model, images[:training], classes[:training], epochs, seed)
    classifier = loader.load(model, preprocess=Preprocess(2 * SIDE, SIDE, "gray"))
    held_out, answers, masks = images[training:], classes[training:], masks[training:]
    without_digit, without_block = (np.where(masks[..., None] == hidden, 0, held_out) for hidden in (True, False))
    limits = {
        "accuracy": Limit(accuracy(classifier, held_out, answers), least=0.9),
        "accuracy without the digit": Limit(accuracy(classifier, without_digit, answers), most=0.25),
        "accuracy without the null block": Limit(accuracy(classifier, without_block, answers)),
    }
    right = "A digit above or below a block that is the same in all images; only the block of the digit tells the class."
    return trained(
        name="block-digits",
        right=right,
        classifier=classifier,
        images=held_out,
        classes=answers,
        masks=masks,
        limits=limits,
        count=count,
        random=random,
    )


def decoy_digits(count: int, seed: int, *, training: int = TRAINING, epochs: int = 4) -> Case:
    """A digit with a gray mark in a corner, whose brightness is the class.

    Decoy MNIST (Ross, Hughes, Doshi-Velez 2017, arXiv:1703.03717), where the digit also tells the class of the training
    images. Here the digits are random, so that the network can only use the mark. There are four levels of gray.

    Raises:
        TruthError: Fewer than 90% of the images are classified correctly, or fewer than 90% after the mark was replaced by
            that of another class, or more than 40% without the mark.
    """
    random = np.random.default_rng(seed)
    digits, _ = _digits(training, random)
    classes = random.permutation(np.arange(len(digits)) % LEVELS)
    masks = corners(len(digits), random)
    images = marked(digits, masks, classes)
    model = convolutional((SIDE, SIDE, 1), LEVELS, "decoy_digits", seed)
    train(model, images[:training], classes[:training], epochs, seed)
    classifier = loader.load(model, preprocess=Preprocess(SIDE, SIDE, "gray"))
    held_out, answers, masks = images[training:], classes[training:], masks[training:]
    others = (answers + random.integers(1, LEVELS, len(answers))) % LEVELS
    limits = {
        "accuracy": Limit(accuracy(classifier, held_out, answers), least=0.9),
        "accuracy with another mark": Limit(accuracy(classifier, marked(held_out, masks, others), others), least=0.9),
        "accuracy without the mark": Limit(accuracy(classifier, np.where(masks[..., None], 0, held_out), answers), most=0.4),
    }
    right = "A random digit and a gray mark in a corner; only the brightness of the mark tells the class."
    return trained(
        name="decoy-digits",
        right=right,
        classifier=classifier,
        images=held_out,
        classes=answers,
        masks=masks,
        limits=limits,
        count=count,
        random=random,
    )


def _digits(training: int, random: np.random.Generator) -> tuple[Float32[np.ndarray, "N 28 28 1"], Int64[np.ndarray, " N"]]:
    """Random training digits of MNIST from 0 to 1 and their classes, including those that are held out."""
    digits, classes = MNIST.dataset.load("train")
    chosen = random.permutation(len(digits))[: training + HELD_OUT]
    return digits[chosen, ..., None].astype(np.float32) / 255, classes[chosen].astype(np.int64)


def stacked(
    digits: Float32[np.ndarray, "N h w 1"], above: Bool[np.ndarray, " N"]
) -> tuple[Float32[np.ndarray, "N H W 1"], Bool[np.ndarray, "N H W"]]:
    """Each digit above or below the null block, and the mask of the digit's block."""
    null = np.zeros((SIDE, SIDE), np.float32)
    first, last = 4, SIDE - 5
    inside = np.arange(first, last + 1)
    null[[first, last], first : last + 1] = null[first : last + 1, [first, last]] = 1
    null[inside, inside] = null[inside, SIDE - 1 - inside] = 1
    upper, lower = (np.where(each[:, None, None, None], digits, null[..., None]) for each in (above, ~above))
    rows = np.stack([above, ~above], axis=1).repeat(SIDE, axis=1)
    return np.concatenate([upper, lower], axis=1), rows[:, :, None].repeat(SIDE, axis=2)


def corners(count: int, random: np.random.Generator) -> Bool[np.ndarray, "{count} 28 28"]:
    """The mask of a random corner for each image."""
    place = np.arange(SIDE)
    rows, columns = (np.where(random.integers(2, size=(count, 1)), place < MARK, place >= SIDE - MARK) for _ in range(2))
    return rows[:, :, None] & columns[:, None, :]


def marked(
    images: Float32[np.ndarray, "N H W 1"], masks: Bool[np.ndarray, "N H W"], classes: Int64[np.ndarray, " N"]
) -> Float32[np.ndarray, "N H W 1"]:
    """Images with marks, from white for class 0 to dark gray for the last class."""
    gray = (1 - classes / LEVELS).astype(np.float32)
    return np.where(masks[..., None], gray[:, None, None, None], images)
