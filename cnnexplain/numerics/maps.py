"""Facts about maps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from cnnexplain.types import Array


def peaks(maps: Array) -> list[list[int]]:
    """The row and the column of the maximum of each map (N, H, W), the first one where it occurs several times."""
    return [[int(place) for place in np.unravel_index(each.argmax(), each.shape)] for each in maps]
