"""eMPRT: how much more complex the map of a network with shuffled weights is."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from cnnexplain.plugin import Metric

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float, Float32, Float64

    from cnnexplain import Classifier


def run(
    maps: Float[np.ndarray, "M H W"],
    image: Float32[np.ndarray, "H W C"],
    classifier: Classifier,
    explain: Callable[..., Float64[np.ndarray, "M n H W"]],
) -> dict[str, Float64[np.ndarray, " M"]]:
    """The relative rise of the entropy of a map when all weights of the network are shuffled.

    Hedström et al. 2023, section 3.2: (H(φ') − H(φ)) / H(φ), with the entropy H of the histogram of the map's values. It is
    not defined for a constant map, nor for maps from files.
    """
    import numpy as np

    from cnnexplain.checks import emprt, shuffled_network

    others = explain(image[None], classifier=shuffled_network(classifier, 1.0))[:, 0]
    rises = np.full(len(maps), np.nan)
    for number in np.flatnonzero(np.isfinite(others).all(axis=(1, 2)) & (np.ptp(maps, axis=(1, 2)) > 0)):
        rises[number] = emprt(_unit_range(maps[number]), _unit_range(others[number]))
    return {"rise": rises}


def _unit_range(values: Float[np.ndarray, "H W"]) -> Float[np.ndarray, "H W"]:
    """Values mapped to [0, 1]: NumPy makes no histogram of a range that is tiny relative to the values."""
    import numpy as np

    low, high = values.min(), values.max()
    return np.asarray((values - low) / ((high - low) or 1.0))


METRIC = Metric(
    "emprt",
    run,
    "Hedström, Weber, Lapuschkin, Höhne 2023 (arXiv:2401.06465)",
    scores={"rise": "higher"},
    protocol="A histogram of 100 bins from the smallest to the largest value; one permutation of the weights for all "
    "images.",
    limitations="A rise shows only that the map of the trained network is simpler, not that it is right; and a map that is "
    "complex already can hardly rise.",
)
