"""Numbers that measure how far arrays are from what they should be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float, Float32, Num

    from cnnexplain.inputs.preprocess import Preprocess


def difference(values: Num[np.ndarray, "*shape"], expected: Num[np.ndarray, "*shape"]) -> float:
    """The largest difference between two arrays of the same shape, relative to the largest magnitude of `expected`.

    0 if both are zero everywhere, and infinite if only `expected` is.
    """
    values, expected = np.asarray(values, np.float64), np.asarray(expected, np.float64)
    distance, size = (float(np.abs(each).max(initial=0)) for each in (values - expected, expected))
    return distance / size if size else (0.0 if distance == 0 else float("inf"))


def root_mean_square(values: Num[np.ndarray, " ..."]) -> float:
    """√(mean values²); 0 for no values."""
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64)))) if np.size(values) else 0.0


def relative(error: Num[np.ndarray, " ..."], size: float) -> float:
    """The root mean square of errors relative to a size: 0 if there is no error, infinite if only the size is 0."""
    magnitude = root_mean_square(error)
    return magnitude / size if size else (0.0 if magnitude == 0 else float("inf"))


def within_range(
    noisy: Float[np.ndarray, "N H W C"], image: Float[np.ndarray, "1 H W C"], preprocess: Preprocess
) -> Float32[np.ndarray, "N H W C"]:
    """Images with noise, clipped to the input range, or to the range of the image if that is wider."""
    low, high = min(preprocess.low, float(image.min())), max(preprocess.high, float(image.max()))
    return np.asarray(np.clip(noisy, low, high), np.float32)
