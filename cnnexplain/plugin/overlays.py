"""Common functions for `Analysis.overlay`: the main map, which is the first of `Analysis.maps`, prepared for display."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Shaped

    from cnnexplain.results.record import Record


def smoothed_map(record: Record, index: int) -> Shaped[np.ndarray, "H W"]:
    """The main map of image `index`, (H, W), smoothed, or summed over the regions of the style in use."""
    from cnnexplain import draw

    return draw.readable(_main(record, index))


def summed_map(record: Record, index: int) -> Shaped[np.ndarray, "H W"]:
    """The main map of image `index`, (H, W), summed over regions, as attributions of regions."""
    from cnnexplain import draw

    values = _main(record, index)
    return draw.region_sums(values, draw.region_side(values))


def _main(record: Record, index: int) -> Shaped[np.ndarray, "H W"]:
    values: Shaped[np.ndarray, "H W"] = record.arrays[next(iter(record.analysis.maps))][index]
    return values
