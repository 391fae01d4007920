"""The computation of integrated gradients (Sundararajan, Taly, Yan 2017, arXiv:1703.01365, sections 3 and 5)."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnexplain.numerics import Copies, baseline_images, completeness_facts
from cnnexplain.plugin import Result
from cnnexplain_plugins.integrated_gradients import TOLERANCE

if TYPE_CHECKING:
    from jaxtyping import Float32, Float64

    from cnnexplain import Classifier, Objective

WARNING = (
    f"For some images, the sum of the attributions misses the difference of the scores by more than {TOLERANCE:.0%} "
    "(relative_convergence_delta); use more --steps."
)


def integrated_gradients(
    classifier: Classifier,
    images: Float32[np.ndarray, "N H W C"],
    objectives: list[Objective],
    progress: Callable[[int, int], None],
    *,
    baseline: str,
    steps: int,
) -> Result:
    """The attributions along the straight path from the baseline; see `run`."""
    baselines = baseline_images(baseline, images, classifier.preprocess)
    # Before anything else, so that the same pass computes the predictions for the images.
    baseline_logits = classifier.values(baselines, objectives)
    nodes, weights = quadrature(steps)
    shares = nodes[:, None, None, None].astype(np.float32)
    points = Copies(point, steps, lambda part: [shares[part.start : part.stop]], [baselines])
    mean, _ = classifier.gradient_sums(images, objectives, points, weights=weights, progress=progress)
    attribution = (images - baselines) * mean
    facts = completeness_facts(classifier, images, baselines, objectives, attribution, baseline_logits)
    arrays = {"attribution": attribution, "pixel_attribution": attribution.sum(axis=-1), "baseline": baselines}
    relative = facts["relative_convergence_delta"]
    warnings = () if all(share is None or share <= TOLERANCE for share in relative) else (WARNING,)
    return Result({name: array.astype(np.float32) for name, array in arrays.items()}, facts, warnings=warnings)


def point(image: Any, baseline: Any, share: Any) -> Any:
    """A point of the path from the baseline, at 0, to the image, at 1."""
    return baseline + share * (image - baseline)


@functools.cache
def quadrature(steps: int) -> tuple[Float64[np.ndarray, " steps"], Float64[np.ndarray, " steps"]]:
    """The nodes from 0 to 1 and the weights, which sum to 1, of Gauss-Legendre quadrature."""
    nodes, weights = np.polynomial.legendre.leggauss(steps)
    return (nodes + 1) / 2, weights / 2
