"""Maps of gradients, and facts about maps."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Shaped


def channel_maxima(gradients: Shaped[np.ndarray, "*shape C"]) -> Shaped[np.ndarray, "*shape"]:
    """The largest magnitude over the channels, the map of Simonyan et al. 2013."""
    # NumPy reduces an axis of a few numbers 30 times more slowly than it compares whole channels.
    magnitudes = np.abs(gradients)
    return np.asarray(reduce(np.maximum, (magnitudes[..., channel] for channel in range(gradients.shape[-1]))))


def peaks(maps: Shaped[np.ndarray, "N H W"]) -> list[list[int]]:
    """The row and column of the maximum of each map; of the first maximum if there are several."""
    width = maps.shape[2]
    places = maps.reshape(len(maps), maps.shape[1] * width).argmax(axis=1).tolist()
    return [[place // width, place % width] for place in places]
