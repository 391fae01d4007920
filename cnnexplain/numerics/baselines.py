"""Baselines: images that represent the absence of information, to compare an image with or to fill hidden parts."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from cnnexplain import former_names
from cnnexplain.errors import UsageError, suggest

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float, Float32, Float64

    from cnnexplain.inputs.preprocess import Preprocess

BASELINES = (
    "'gray' (the middle of the model's input range), 'black', 'white', 'mean' (the image's own, per channel), 'blur' (the "
    "image itself, blurred), or a number in the model's input range."
)
"""The description of the values of an option for a baseline or fill."""


def baseline_function(
    fill: str, preprocess: Preprocess, sigma: float, option: str
) -> Callable[[Float[np.ndarray, "H W C"]], Float[np.ndarray, "H W C"]]:
    """A function from an image (H, W, C) to its baseline, of the same shape.

    Args:
        fill: "gray", "black", "white", "mean", "blur", or a number.
        preprocess: The model's input range.
        sigma: The standard deviation of the blur in pixels.
        option: The option for the fill, such as "--fill", for errors.

    Raises:
        UsageError: There is no such fill, or the number is outside the model's input range, if that is known.
    """
    # Imported here, since plugins use `BASELINES` in their declarations.
    import numpy as np

    low, high = preprocess.low, preprocess.high
    constants = {"gray": preprocess.gray, "black": preprocess.black, "white": preprocess.white}
    functions: dict[str, Callable[[Float[np.ndarray, "H W C"]], Float[np.ndarray, "H W C"]]] = {
        **{name: functools.partial(_filled, color) for name, color in constants.items()},
        "mean": lambda image: np.broadcast_to(image.mean(axis=(0, 1)), image.shape),
        "blur": lambda image: blurred(image, sigma),
    }
    if former_names.word(fill) in functions:
        return functions[former_names.word(fill)]
    value = _number(fill, list(functions), option)
    if not math.isfinite(value) or not ("range" in preprocess.assumed or low <= value <= high):
        raise UsageError(f"{option} {fill} is outside the model's input range, {low:g} to {high:g}.")
    return functools.partial(_filled, np.float32(value))


def baseline_images(
    baseline: str, images: Float[np.ndarray, "N H W C"], preprocess: Preprocess
) -> Float[np.ndarray, "N H W C"]:
    """The baselines of images. The standard deviation of a blur is an eighth of their shorter side.

    Raises:
        UsageError: As for `baseline_function`.
    """
    import numpy as np

    fill = baseline_function(baseline, preprocess, min(images.shape[1:3]) / 8, "--baseline")
    return np.stack([fill(image) for image in images])


def _filled(color: Float[np.ndarray, " C"] | np.float32, image: Float[np.ndarray, "H W C"]) -> Float[np.ndarray, "H W C"]:
    import numpy as np

    return np.full_like(image, color)


def blurred(image: Float[np.ndarray, "*N H W C"], sigma: float) -> Float32[np.ndarray, "*N H W C"]:
    """Images blurred by a Gaussian with a standard deviation in pixels. Its weights within the image sum to 1."""
    import numpy as np

    rows, columns = (gaussian(side, sigma).astype(np.float32) for side in image.shape[-3:-1])
    return np.asarray(np.einsum("ip,...pqc,jq->...ijc", rows, image, columns, optimize=True), np.float32)


def gaussian(side: int, sigma: float) -> Float64[np.ndarray, "{side} {side}"]:
    """The matrix that blurs along one axis: each row has the weights of all pixels in one blurred pixel."""
    import numpy as np

    distance = np.arange(side)[:, None] - np.arange(side)
    weights = np.exp(-(distance**2) / (2 * sigma**2))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def _number(fill: str, words: list[str], option: str) -> float:
    try:
        return float(fill)
    except ValueError:
        raise UsageError(f"{option} takes {', '.join(words)} or a number, but got '{fill}'.{suggest(fill, words)}") from None
