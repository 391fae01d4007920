"""Relevance mass accuracy: how much of the sum of a map lies at relevant pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnnexplain.plugin import Metric

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Bool, Float, Float64


def run(maps: Float[np.ndarray, "M H W"], mask: Bool[np.ndarray, "H W"]) -> dict[str, Float64[np.ndarray, " M"]]:
    """The share of the positive values of the map that lies at relevant pixels.

    Arras et al. 2022: the sum of the map over the relevant pixels, divided by the sum over all pixels. Negative
    values, which are evidence against the target, count as zero, as in the grid pointing game (Böhle et al. 2021). A map
    without positive values scores 0.
    """
    import numpy as np

    if not mask.any():
        return {"accuracy": np.full(len(maps), np.nan)}
    positive = np.maximum(maps, 0)
    # Relative to the maximum, so that the sum of large values is finite.
    positive = positive / np.maximum(positive.max(axis=(1, 2), keepdims=True), np.finfo(float).tiny)
    total = positive.sum(axis=(1, 2))
    return {"accuracy": positive[:, mask].sum(axis=1) / np.where(total > 0, total, 1)}


METRIC = Metric(
    "relevance-mass",
    run,
    "Arras, Osman, Samek 2022 (arXiv:2003.07258); Böhle, Fritz, Schiele 2021 (arXiv:2104.00032)",
    scores={"accuracy": "higher"},
    protocol="Negative values count as zero; a map without positive values scores 0.",
    limitations="It favors maps that are sparse or clipped at zero, and penalizes a small constant added to a map.",
)
