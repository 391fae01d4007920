"""Converts a preprocessing function to the numbers of a `Preprocess`, by calling it with test images."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnexplain.errors import UsageError, foreign, line, reason

if TYPE_CHECKING:
    from jaxtyping import Float, Float32, Shaped

TOLERANCE = 1e-5
"""The maximum deviation of a function from linearity, relative to its range: some rounding errors of single precision."""


def linear_preprocessing(function: Callable[[Any], Any], name: str, shape: tuple[int, int, int]) -> dict[str, Any]:
    """The color, scale, mean and std with which a function converts pixels v to (v · scale − mean) / std.

    The function is called with black, white and random images. Black and white determine a linear function for each channel.
    The random images show whether the function is linear, of which channel, and of only this pixel.

    Args:
        function: Takes pixels (N, H, W, C) float32 from 0 to 255, RGB or gray, and returns the model's input. It may change
            its argument.
        name: The name of the function in errors.
        shape: (H, W, C).

    Raises:
        UsageError: The function raises an error, changes the shape, or does something else.
    """
    noise = np.random.default_rng(0).uniform(0, 255, (2, *shape)).astype(np.float32)
    # In separate calls, to detect a function that depends on the whole batch.
    black, white, random = (
        _call(function, name, pixels).astype(np.float64) for pixels in (0 * noise[:1], 0 * noise[:1] + 255, noise)
    )
    offset, slope = black[0, 0, 0], (white - black)[0, 0, 0] / 255
    if not (slope > 0).all():
        raise _error(name, "a channel does not increase with the values of its pixels")
    span = 255 * slope.max()
    for color in ("rgb", "bgr") if shape[2] == 3 else ("gray",):
        swapped = noise[..., ::-1] if color == "bgr" else noise
        if np.abs(swapped * slope + offset - random).max() <= TOLERANCE * span:
            break
    else:
        channels = ", or channels are mixed or in an order other than RGB and BGR" if shape[2] == 3 else ""
        raise _error(name, f"values are not a linear function of their own pixel{channels}")
    # The same slope for all channels is a scale; different slopes are standard deviations of values from 0 to 1.
    same = np.ptp(slope) <= TOLERANCE * slope.max()
    scale = float(f"{slope.mean():.7g}") if same else 1 / 255
    std = scale / slope
    return {"color": color, "scale": scale, "mean": _rounded(-offset * std), "std": (1.0,) if same else _rounded(std)}


def _call(
    function: Callable[[Any], Any], name: str, pixels: Float32[np.ndarray, "N H W C"]
) -> Shaped[np.ndarray, "N H W C"]:
    import keras

    # The function is the user's code, and may raise anything.
    with foreign(lambda error: _error(name, f"it raised {reason(error)}")):
        values: np.ndarray[Any, Any] = keras.ops.convert_to_numpy(function(pixels.copy()))
    if values.shape != pixels.shape:
        raise _error(name, f"it returned the shape {values.shape} for {pixels.shape}")
    if values.dtype.kind not in "fiu" or not np.isfinite(values).all():
        raise _error(name, "it returned values that are not finite numbers")
    return values


def _error(name: str, reason: str) -> UsageError:
    return UsageError(
        f"'{line(name)}' can't be the preprocessing: {reason}. Expected a function of pixels from 0 to 255, (N, H, W, C), "
        "that multiplies and shifts each channel by fixed numbers, or swaps red and blue."
    )


def _rounded(values: Float[np.ndarray, " C"]) -> tuple[float, ...]:
    """The numbers to six digits, without the rounding errors of single precision."""
    return tuple(float(f"{value:.6g}") + 0.0 for value in values)
