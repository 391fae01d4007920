"""Facts about maps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Shaped


def peaks(maps: Shaped[np.ndarray, "N H W"]) -> list[list[int]]:
    """The row and column of the maximum of each map; of the first maximum if there are several."""
    return [[int(place) for place in np.unravel_index(each.argmax(), each.shape)] for each in maps]
