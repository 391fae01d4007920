"""Complexity: over how many pixels a map is spread."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnnexplain.plugin import Metric

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float, Float64


def run(maps: Float[np.ndarray, "M H W"]) -> dict[str, Float64[np.ndarray, " M"]]:
    """The entropy of the shares of the pixels in a map: 0 for a single pixel, log d for d equal ones.

    Bhatt et al. 2020, definition of μ_C: −Σ_p P_p log P_p with P_p = |φ_p| / Σ_q |φ_q|, in nats. It is not defined for a map
    of zeros.
    """
    import numpy as np

    values = np.abs(maps.reshape(len(maps), -1))
    totals = values.sum(axis=1, keepdims=True)
    shares = np.divide(values, totals, out=np.full_like(values, np.nan), where=totals > 0)
    logarithms = np.log(shares, out=np.zeros_like(shares), where=shares > 0)
    return {"entropy": -(shares * logarithms).sum(axis=1)}


METRIC = Metric(
    "complexity",
    run,
    "Bhatt, Weller, Moura 2020 (arXiv:2005.00631)",
    scores={"entropy": "lower"},
    protocol="The absolute values of the map; natural logarithms.",
    limitations="It does not look at the network at all: a map with a single arbitrary pixel has the best score.",
)
