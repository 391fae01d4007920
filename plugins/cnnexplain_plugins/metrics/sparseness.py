"""Sparseness: how unevenly a map is distributed over the pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnnexplain.plugin import Metric

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float, Float64


def run(maps: Float[np.ndarray, "M H W"]) -> dict[str, Float64[np.ndarray, " M"]]:
    """The Gini index of the magnitudes of a map: 0 if all are equal, close to 1 if a single pixel has all of it.

    Chalasani et al. 2020, section 2: with the d magnitudes v in increasing order,
    G = 1 − 2 Σ_k v_k / ‖v‖₁ · (d − k + ½) / d. It is not defined for a map of zeros.
    """
    import numpy as np

    values = np.sort(np.abs(maps.reshape(len(maps), -1)), axis=1)
    pixels = values.shape[1]
    weights = (pixels - np.arange(1, pixels + 1) + 0.5) / pixels
    totals = values.sum(axis=1)
    return {"Gini": 1 - 2 * np.divide(values @ weights, totals, out=np.full(len(maps), np.nan), where=totals > 0)}


METRIC = Metric(
    "sparseness",
    run,
    "Chalasani, Chen, Chowdhury, Jha, Wu 2020 (arXiv:1810.06583)",
    scores={"Gini": "higher"},
    protocol="The absolute values of the map.",
    limitations="It does not look at the network at all: a map with a single arbitrary pixel has the best score.",
)
