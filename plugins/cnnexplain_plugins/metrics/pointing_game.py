"""The pointing game: whether the maximum of a map lies at a relevant pixel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnnexplain.plugin import Metric

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Bool, Float, Float64

TOLERANCE = 0.03
"""The tolerance as a share of the longer side of the image: 15 pixels, as in the paper, for photographs of 500 pixels."""


def run(
    maps: Float[np.ndarray, "M H W"], mask: Bool[np.ndarray, "H W"], *, tolerance: int | None = None
) -> dict[str, Float64[np.ndarray, " M"]]:
    """Whether the largest value of the map is at a relevant pixel, or near one.

    Zhang et al. 2018: 1 if a relevant pixel lies within `tolerance` pixels of the maximum, otherwise 0. The
    default is 3% of the longer side, rounded. If several pixels have the largest value, the share of them that are hits.
    """
    import numpy as np

    if not mask.any():
        return {"hit": np.full(len(maps), np.nan)}
    near = _dilated(mask, round(TOLERANCE * max(mask.shape)) if tolerance is None else tolerance)
    highest = maps == maps.max(axis=(1, 2), keepdims=True)
    return {"hit": (highest & near).sum(axis=(1, 2)) / highest.sum(axis=(1, 2))}


def _dilated(mask: Bool[np.ndarray, "H W"], radius: int) -> Bool[np.ndarray, "H W"]:
    """The pixels with a pixel of the mask at a distance of at most the radius."""
    import numpy as np

    height, width = mask.shape
    padded = np.pad(mask, radius)
    offsets = np.arange(-radius, radius + 1)
    near = np.zeros_like(mask)
    for row in offsets:
        for column in offsets[offsets**2 + row**2 <= radius**2]:
            near |= padded[radius + row : radius + row + height, radius + column : radius + column + width]
    return near


METRIC = Metric(
    "pointing-game",
    run,
    "Zhang et al. 2018 (arXiv:1608.00507)",
    scores={"hit": "higher"},
    protocol="A relevant pixel within 3% of the longer side of the image counts as a hit, which is the paper's 15 pixels "
    "for 500; of several maxima, the share of hits.",
    limitations="It looks at one pixel of the map, and is easy where the relevant pixels cover much of the image.",
)
