"""Maps of gradients, and facts about maps."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float, Shaped


def channel_maxima(gradients: Shaped[np.ndarray, "*shape C"]) -> Shaped[np.ndarray, "*shape"]:
    """The largest magnitude over the channels, the map of Simonyan et al. 2013."""
    # NumPy reduces an axis of a few numbers 30 times more slowly than it compares whole channels.
    magnitudes = np.abs(gradients)
    return np.asarray(reduce(np.maximum, (magnitudes[..., channel] for channel in range(gradients.shape[-1]))))


def relative_error(standard_error: Float[np.ndarray, "N ..."], maps: Float[np.ndarray, "N ..."]) -> Float[np.ndarray, " N"]:
    """The standard error of each map relative to the map, both as root mean squares over its values; 0 for a map of zeros.

    The square is the share of the map's mean square that is noise.

    Args:
        standard_error: The standard error of each value.
        maps: The maps, means over random copies.
    """
    error, size = (np.sqrt((each**2).mean(axis=tuple(range(1, each.ndim)))) for each in (standard_error, maps))
    return np.asarray(np.divide(error, size, out=np.zeros_like(error), where=size > 0))


def peaks(maps: Shaped[np.ndarray, "N H W"]) -> list[list[int]]:
    """The row and column of the maximum of each map; of the first maximum if there are several."""
    width = maps.shape[2]
    places = maps.reshape(len(maps), maps.shape[1] * width).argmax(axis=1).tolist()
    return [[place // width, place % width] for place in places]
