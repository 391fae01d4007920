"""A function that prepares pixels for a model → the same as numbers of a `Preprocess`, found by trying it out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from cnnexplain.errors import UsageError, foreign, line, reason
from cnnexplain.types import Array, Floats

TOLERANCE = 1e-5
"""By how much of its range a function may deviate from straight lines: some roundings of single precision."""


def linear_preprocessing(function: Callable[[Any], Any], name: str, shape: tuple[int, int, int]) -> dict[str, Any]:
    """The color, scale, mean and std by which pixels v become (v · scale − mean) / std, as the function brings them.

    It is given black, white and random images. The first two say for each channel where its straight line lies, the third
    whether it is one, of which channel, and of this pixel alone.

    Args:
        function: Takes pixels (N, H, W, C) float32 from 0 to 255, RGB or gray, and returns the model's input; it may change
            what it is given.
        name: What to call it in an error.
        shape: (H, W, C).

    Raises:
        UsageError: It raises, changes the shape, or does something else.
    """
    noise = np.random.default_rng(0).uniform(0, 255, (2, *shape)).astype(np.float32)
    # Each by itself, so that what looks at all of a batch gives itself away.
    black, white, random = (
        _called(function, name, pixels).astype(np.float64) for pixels in (0 * noise[:1], 0 * noise[:1] + 255, noise)
    )
    offset, slope = black[0, 0, 0], (white - black)[0, 0, 0] / 255
    if not (slope > 0).all():
        raise _refusal(name, "a channel does not grow with its pixels' values")
    span = 255 * slope.max()
    for color in ("rgb", "bgr") if shape[2] == 3 else ("gray",):
        swapped = noise[..., ::-1] if color == "bgr" else noise
        if np.abs(swapped * slope + offset - random).max() <= TOLERANCE * span:
            break
    else:
        what = ", or channels are mixed or in an order other than RGB and BGR" if shape[2] == 3 else ""
        raise _refusal(name, f"values are no straight line of their own pixel{what}")
    # One slope for all channels is said as the scale, several as standard deviations of values from 0 to 1.
    same = np.ptp(slope) <= TOLERANCE * slope.max()
    scale = float(f"{slope.mean():.7g}") if same else 1 / 255
    std = scale / slope
    return {"color": color, "scale": scale, "mean": _neat(-offset * std), "std": (1.0,) if same else _neat(std)}


def _called(function: Callable[[Any], Any], name: str, pixels: Floats) -> Array:
    import keras

    # The function is anyone's code.
    with foreign(lambda error: _refusal(name, f"it raised {reason(error)}")):
        found: Array = keras.ops.convert_to_numpy(function(pixels.copy()))
    if found.shape != pixels.shape:
        raise _refusal(name, f"it made {found.shape} of {pixels.shape}")
    if found.dtype.kind not in "fiu" or not np.isfinite(found).all():
        raise _refusal(name, "it returned what are no finite numbers")
    return found


def _refusal(name: str, reason: str) -> UsageError:
    return UsageError(
        f"'{line(name)}' can't be the preprocessing: {reason}. Expected a function of pixels from 0 to 255, (N, H, W, C), "
        "that multiplies and shifts each channel by fixed numbers, or swaps red and blue."
    )


def _neat(values: Floats) -> tuple[float, ...]:
    """The numbers without what single precision has added behind their sixth digit."""
    return tuple(float(f"{value:.6g}") + 0.0 for value in values)
