"""Kinds of input with conventions of their own: so far, MNIST's digits.

Other modules read what is special about MNIST from the preset (`Preprocess.preset`), instead of testing for MNIST.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cnnexplain.inputs import datasets
from cnnexplain.inputs.datasets import DataSet
from cnnexplain.inputs.digits import WORKING_SIZE, center_digit, dark_on_light
from cnnexplain.inputs.literals import Color, Fit
from cnnexplain.inputs.photographs import is_photograph

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float, Float32


@dataclass(frozen=True, eq=False)
class Preset:
    """The conventions for models of one kind of image: a light subject on a black background.

    Args:
        name: The name of the data set, for messages.
        subject: What an image shows, for messages.
        fit: The value of `Preprocess.fit` that selects this preset.
        shape: (H, W, C) of the input of models trained on the data set.
        color: The channels of that input.
        dataset: The included data set.
        model_name: The `name` of Keras models that take this input, such as those of `cnnexplain train`.
        fitted: How an image has been fitted, for messages: the size of the input replaces {}.
        working_size: Images need not be read at more rows and columns.
        fit_image: Fits an image (h, w, C) from 0 to 1 to the given rows and columns.
        dark_on_light: Whether an image shows a dark subject on a light background and has to be inverted.
        is_photograph: Whether an image is a photograph of something else.
    """

    name: str
    subject: str
    fit: Fit
    shape: tuple[int, int, int]
    color: Color
    dataset: DataSet
    model_name: str
    fitted: str
    working_size: int
    fit_image: Callable[[Float[np.ndarray, "h w C"], int, int], Float32[np.ndarray, "H W C"]]
    dark_on_light: Callable[[Float[np.ndarray, "h w C"]], bool]
    is_photograph: Callable[[Float[np.ndarray, "h w C"]], bool]

    @property
    def settings(self) -> dict[str, Any]:
        """The contents of a sidecar for a model trained on the data set."""
        height, width, _ = self.shape
        return {
            "size": [height, width],
            "color": self.color,
            "scale": "1/255",
            "fit": self.fit,
            "labels": list(self.dataset.labels),
        }

    def can_evaluate(self, shape: tuple[int, int, int], classes: int) -> bool:
        """Whether a model with this input (H, W, C) and this number of classes can be evaluated on the data set."""
        return shape == self.shape and classes == len(self.dataset.labels)


MNIST = Preset(
    name="MNIST",
    subject="digit",
    fit="digit",
    shape=(*datasets.MNIST.shape, 1),
    color="gray",
    dataset=datasets.MNIST,
    model_name="cnnexplain_lenet",
    fitted="Centered on {} like MNIST's digits",
    working_size=WORKING_SIZE,
    fit_image=center_digit,
    dark_on_light=dark_on_light,
    is_photograph=is_photograph,
)
"""Handwritten digits, and photographs of them."""

PRESETS: dict[str, Preset] = {preset.fit: preset for preset in (MNIST,)}
"""The presets, by the value of `Preprocess.fit` that selects them."""


def of_model(name: str, shape: tuple[int | None, ...]) -> Preset | None:
    """The preset of a Keras model with this name and input shape (H, W, C), if any."""
    return next((each for each in PRESETS.values() if (each.model_name, each.shape) == (name, shape)), None)
