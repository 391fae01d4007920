"""Completeness: whether a map sums to the difference of the logits of the image and of a black image."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from cnnexplain.checks import ROUNDING
from cnnexplain.plugin import Metric

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float, Float32, Float64

    from cnnexplain import Classifier


def run(
    maps: Float[np.ndarray, "M H W"],
    image: Float32[np.ndarray, "H W C"],
    classifier: Classifier,
    evaluate: Callable[..., Mapping[str, Float[np.ndarray, " K"]]],
) -> dict[str, Float64[np.ndarray, " M"]]:
    """How far a map's sum is from the difference of the logits of the image and of black, relative to that difference.

    Sundararajan et al. 2017, section 3 (completeness): |Σ_p φ_p − (f(x) − f(b))| / |f(x) − f(b)|. It is not defined if the
    logits are equal within rounding.
    """
    import numpy as np

    both = np.stack([image, np.broadcast_to(classifier.preprocess.black, image.shape)])
    logits = evaluate(2, lambda part: both[part])["logit"]
    difference = logits[0] - logits[1]
    if abs(difference) <= ROUNDING * np.abs(logits).max():
        return {"residual": np.full(len(maps), np.nan)}
    return {"residual": np.abs(maps.sum(axis=(1, 2)) - difference) / abs(difference)}


METRIC = Metric(
    "completeness",
    run,
    "Sundararajan, Taly, Yan 2017 (arXiv:1703.01365)",
    scores={"residual": "lower"},
    protocol="A black baseline, and the logit; undefined if the logits are equal within rounding.",
    limitations="Only attributions in units of the logit with a black baseline aim at it, and a map with the right sum can "
    "be distributed over the wrong pixels.",
)
