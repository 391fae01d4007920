"""Relevance rank accuracy: how many of the highest pixels of a map are relevant."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnnexplain.plugin import Metric

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Bool, Float, Float64


def run(maps: Float[np.ndarray, "M H W"], mask: Bool[np.ndarray, "H W"]) -> dict[str, Float64[np.ndarray, " M"]]:
    """The share of relevant pixels among the K largest values of the map, for K relevant pixels.

    Arras et al. 2022. If there are equal values at the limit, the expected share for a random order of them.
    """
    import numpy as np

    size = int(mask.sum())
    if size == 0:
        return {"accuracy": np.full(len(maps), np.nan)}
    flat, relevant = maps.reshape(len(maps), -1), mask.ravel()
    limit = np.partition(flat, -size, axis=1)[:, [-size]]
    above, equal = flat > limit, flat == limit
    share = (size - above.sum(axis=1)) / equal.sum(axis=1)
    return {"accuracy": ((above & relevant).sum(axis=1) + share * (equal & relevant).sum(axis=1)) / size}


METRIC = Metric(
    "relevance-rank",
    run,
    "Arras, Osman, Samek 2022 (arXiv:2003.07258)",
    scores={"accuracy": "higher"},
    protocol="As many pixels of the map as are relevant; pixels with equal values are taken in a random order, on average.",
    limitations="It ignores how large the values are: values near zero count as much as large ones.",
)
