"""What stands for nothing: what an image is replaced by where it is hidden, or what it is compared with."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from cnnexplain import former_names
from cnnexplain.errors import UsageError, suggest

if TYPE_CHECKING:
    import numpy as np

    from cnnexplain.inputs.preprocess import Preprocess
    from cnnexplain.types import Floats

BASELINES = (
    "'gray' (the middle of the model's input range), 'black', 'white', 'mean' (the image's own, per channel), 'blur' (the "
    "image itself, blurred), or a number in the model's input range."
)
"""What an option that takes a baseline or a fill says of it."""


def baseline_function(fill: str, preprocess: Preprocess, sigma: float, option: str) -> Callable[[Floats], Floats]:
    """Gives for an image (H, W, C) what stands for nothing: an image of the same shape.

    Args:
        fill: "gray", "black", "white", "mean", "blur", or a number.
        preprocess: The model's input range.
        sigma: The standard deviation of the blur in pixels.
        option: That the fill was given to, such as "--fill", for errors.

    Raises:
        UsageError: There is no such fill, or the number is out of the model's input range where that range is known.
    """
    # Plugins say with `BASELINES` what they take, before anything is computed.
    import numpy as np

    low, high = preprocess.low, preprocess.high
    constants = {"gray": preprocess.gray, "black": preprocess.black, "white": preprocess.white}
    found: dict[str, Callable[[Floats], Floats]] = {
        **{name: functools.partial(_filled, color) for name, color in constants.items()},
        "mean": lambda image: np.broadcast_to(image.mean(axis=(0, 1)), image.shape),
        "blur": lambda image: blurred(image, sigma),
    }
    if former_names.word(fill) in found:
        return found[former_names.word(fill)]
    value = _number(fill, list(found), option)
    if not math.isfinite(value) or not ("range" in preprocess.assumed or low <= value <= high):
        raise UsageError(f"{option} {fill} is out of the model's input range, {low:g} to {high:g}.")
    return functools.partial(_filled, np.float32(value))


def baseline_images(baseline: str, images: Floats, preprocess: Preprocess) -> Floats:
    """What images (N, H, W, C) are compared with, of the same shape; a blur is as wide as an eighth of their shorter side.

    Raises:
        UsageError: As `baseline_function` does.
    """
    import numpy as np

    fill = baseline_function(baseline, preprocess, min(images.shape[1:3]) / 8, "--baseline")
    return np.stack([fill(image) for image in images])


def _filled(color: Floats | np.float32, image: Floats) -> Floats:
    import numpy as np

    return np.full_like(image, color)


def blurred(image: Floats, sigma: float) -> Floats:
    """Images (…, H, W, C) under a Gaussian of that standard deviation in pixels, whose weights within an image sum to 1."""
    import numpy as np

    rows, columns = (gaussian(side, sigma).astype(np.float32) for side in image.shape[-3:-1])
    return np.asarray(np.einsum("ip,...pqc,jq->...ijc", rows, image, columns, optimize=True), np.float32)


def gaussian(side: int, sigma: float) -> Floats:
    """(side, side): the weight of every pixel, by column, in the blurred pixel of a row."""
    import numpy as np

    distance = np.arange(side)[:, None] - np.arange(side)
    weights = np.exp(-(distance**2) / (2 * sigma**2))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def _number(fill: str, words: list[str], option: str) -> float:
    try:
        return float(fill)
    except ValueError:
        raise UsageError(f"{option} takes {', '.join(words)} or a number, but got '{fill}'.{suggest(fill, words)}") from None
