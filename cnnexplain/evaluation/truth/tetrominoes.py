"""Tetrominoes in noise: the XAI-TRIS benchmark (Clark, Wilming, Haufe 2023, arXiv:2306.12816), at a quarter of its size.

There are two classes, and two patterns a: the tetrominoes T and L. An image x consists of a pattern and noise η,

- in the scenario "multiplicative": x = (1 − α a) · η
- otherwise: x = α a/‖a‖ + (1 − α) η/‖η‖

and all images are scaled to −1 to 1 by the same factor. In the linear and the multiplicative scenario, T (class 0) is near
the upper left corner, or L (class 1) near the lower right one. In the rotation scenario, the tetromino of the class is at
any place, rotated by a multiple of 90°. In the XOR scenario, both are present at their fixed places, with equal signs (class
0) or different signs (class 1). The noise is white, or correlated by a Gaussian blur.

This follows the authors' description of their data; the formulas are ours. The description, for a grid of 8×8 squares, gives
the places of the tetrominoes, which of them are used, and the Gaussian noise. The authors blur correlated noise by 3 of 8 or
10 of 64 pixels; the blur here is 4 of 16. Differences: the side of an image is 16 instead of 8 or 64 pixels; a rotated
tetromino keeps its size, as in their images of 8×8 pixels, while that in images of 64×64 is half as large; patterns are not
smoothed, so that the masks are exact; there are no photographs as backgrounds; and the ratios α are those at which the small
networks here learn each scenario.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from cnnexplain.evaluation.truth.case import Case, Limit, accuracy, trained
from cnnexplain.evaluation.truth.training import convolutional, train
from cnnexplain.inputs.preprocess import Preprocess
from cnnexplain.loading import loader
from cnnexplain.numerics.baselines import blurred

if TYPE_CHECKING:
    from jaxtyping import Bool, Float32, Float64, Int64

SIDE, CELL, BLUR = 16, 2, 4.0
"""Rows and columns of an image, of a square of a tetromino, and the standard deviation of the blur of correlated noise."""

SHAPES = (np.array([[1, 0], [1, 1], [1, 0]]), np.array([[1, 0], [1, 0], [1, 1]]))
"""T and L, in squares."""

PLACES = ((1, 1), (4, 5))
"""The upper left squares of T and L, unless they are at random places."""

TRAINING, HELD_OUT = 4000, 1000
"""The numbers of images for training, and of those that are not used for it."""

SENTENCES = {
    "linear": "A T at one place or an L at another; both places matter, because the absence of the one is evidence as well.",
    "multiplicative": "The noise is weaker at the T or at the L, never brighter or darker on average; both places matter.",
    "rotation": "A T or an L anywhere, rotated by a multiple of 90°; its pixels matter.",
    "xor": "A T and an L with equal or different signs; neither of them tells the class without the other.",
}

Kind = Literal["linear", "multiplicative", "rotation", "xor"]


@dataclass(frozen=True)
class Scenario:
    """A scenario with one kind of noise.

    Args:
        kind: How patterns and classes are related.
        correlated: Whether neighboring pixels of the noise are correlated.
        alpha: The share of the pattern.
    """

    kind: Kind
    correlated: bool
    alpha: float

    @property
    def name(self) -> str:
        """The name of the case."""
        return f"tetrominoes-{self.kind}-{'correlated' if self.correlated else 'white'}"

    def case(self, count: int, seed: int, *, training: int = TRAINING, epochs: int = 8) -> Case:
        """Trains a network, and takes correctly classified images that it was not trained on.

        Raises:
            TruthError: Fewer than 90% of them are classified correctly, or more than 60% without the pattern.
        """
        random = np.random.default_rng([seed, *self.name.encode()])
        images, without, classes, masks = self.images(training + HELD_OUT, random)
        model = convolutional((SIDE, SIDE, 1), 2, self.name.replace("-", "_"), seed)
        train(model, images[:training], classes[:training], epochs, seed)
        classifier = loader.load(model, preprocess=Preprocess(SIDE, SIDE, "gray", scale=2 / 255, mean=(1.0,)))
        held_out, answers = images[training:], classes[training:]
        limits = {
            "accuracy": Limit(accuracy(classifier, held_out, answers), least=0.9),
            "accuracy without the pattern": Limit(accuracy(classifier, without[training:], answers), most=0.6),
        }
        right = SENTENCES[self.kind]
        return trained(
            name=self.name,
            right=right,
            classifier=classifier,
            images=held_out,
            classes=answers,
            masks=masks[training:],
            limits=limits,
            count=count,
            random=random,
        )

    def images(
        self, count: int, random: np.random.Generator
    ) -> tuple[
        Float32[np.ndarray, "N H W 1"], Float32[np.ndarray, "N H W 1"], Int64[np.ndarray, " N"], Bool[np.ndarray, "N H W"]
    ]:
        """The images, the same noise without the pattern, their classes, and the masks of the relevant pixels."""
        classes = random.permutation(np.arange(count) % 2)
        patterns, masks = self._patterns(classes, random)
        noise = random.normal(size=(count, SIDE, SIDE))
        if self.correlated:
            noise = blurred(noise[..., None], BLUR)[..., 0].astype(np.float64)
        if self.kind == "multiplicative":
            images, without = (1 - self.alpha * patterns) * noise, noise
        else:
            without = (1 - self.alpha) * _normalized(noise)
            images = self.alpha * _normalized(patterns) + without
        largest = np.abs(images).max()
        scaled = [np.clip(each / largest, -1, 1)[..., None].astype(np.float32) for each in (images, without)]
        return *scaled, classes, masks

    def _patterns(
        self, classes: Int64[np.ndarray, " N"], random: np.random.Generator
    ) -> tuple[Float64[np.ndarray, "N H W"], Bool[np.ndarray, "N H W"]]:
        """The patterns of images of these classes, and the masks of what decides."""
        if self.kind == "rotation":
            anywhere = np.stack([_anywhere(SHAPES[each], random) for each in classes])
            return anywhere, anywhere > 0
        first, second = (_placed(shape, *place) for shape, place in zip(SHAPES, PLACES, strict=True))
        decides = np.broadcast_to(first + second > 0, (len(classes), SIDE, SIDE))
        other = (classes == 1)[:, None, None]
        if self.kind == "xor":
            sign = random.choice([-1.0, 1.0], (len(classes), 1, 1))
            return sign * (first + np.where(other, -1, 1) * second), decides
        return np.where(other, second, first), decides


SCENARIOS = (
    Scenario("linear", correlated=False, alpha=0.18),
    Scenario("linear", correlated=True, alpha=0.08),
    Scenario("multiplicative", correlated=False, alpha=0.6),
    Scenario("multiplicative", correlated=True, alpha=0.5),
    Scenario("rotation", correlated=False, alpha=0.55),
    Scenario("rotation", correlated=True, alpha=0.3),
    Scenario("xor", correlated=False, alpha=0.25),
    Scenario("xor", correlated=True, alpha=0.2),
)
"""All scenarios."""


def _placed(shape: Int64[np.ndarray, "h w"], row: int, column: int) -> Float64[np.ndarray, "H W"]:
    """A tetromino whose upper left square is at that row and column, in squares."""
    squares = np.zeros((SIDE // CELL, SIDE // CELL))
    squares[row : row + shape.shape[0], column : column + shape.shape[1]] = shape
    return _enlarged(squares)


def _anywhere(shape: Int64[np.ndarray, "h w"], random: np.random.Generator) -> Float64[np.ndarray, "H W"]:
    """A tetromino at any place, not only that of a square, and rotated by a multiple of 90°."""
    pixels = _enlarged(np.rot90(shape, int(random.integers(4))).astype(np.float64))
    height, width = pixels.shape
    row, column = random.integers(SIDE - height + 1), random.integers(SIDE - width + 1)
    return np.pad(pixels, ((row, SIDE - height - row), (column, SIDE - width - column)))


def _enlarged(squares: Float64[np.ndarray, "h w"]) -> Float64[np.ndarray, "H W"]:
    """Squares as pixels."""
    return squares.repeat(CELL, axis=0).repeat(CELL, axis=1)


def _normalized(images: Float64[np.ndarray, "N H W"]) -> Float64[np.ndarray, "N H W"]:
    """Each image divided by its Frobenius norm."""
    return np.asarray(images / np.linalg.norm(images, axis=(1, 2), keepdims=True))
