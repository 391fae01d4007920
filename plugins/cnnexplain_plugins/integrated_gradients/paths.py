"""The mathematics of integrated gradients (Sundararajan, Taly, Yan 2017, arXiv:1703.01365, sections 3 and 5)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from cnnexplain.numerics import baseline_images, batches, completeness_facts
from cnnexplain.plugin import Result

if TYPE_CHECKING:
    from cnnexplain import Classifier, Floats, Objective

TOLERANCE = 0.05
"""The residual as a share of the difference from which on users are told; section 5 of the paper asks for 5 %."""

WARNING = (
    f"For some images the sum of the attributions misses the difference of the scores by more than {TOLERANCE:.0%} "
    "(relative_convergence_delta); use more --steps."
)


def integrated_gradients(
    classifier: Classifier,
    images: Floats,
    objectives: list[Objective],
    progress: Callable[[int, int], None],
    *,
    baseline: str,
    steps: int,
) -> Result:
    """The attributions along the straight way from the baseline; see `run`."""
    behind = baseline_images(baseline, images, classifier.preprocess)
    way = images - behind
    places, weights = quadrature(steps)
    mean = np.zeros(images.shape)
    for batch in batches(classifier, steps, len(images), progress):
        shown = behind[batch.image] + places[batch.copy, None, None, None].astype(np.float32) * way[batch.image]
        gradient = classifier.gradient(shown, [objectives[index] for index in batch.image])
        mean += batch.sum(gradient, weights[batch.copy])
    attribution = way * mean
    facts = completeness_facts(classifier, images, behind, objectives, attribution)
    arrays = {"attribution": attribution, "pixel_attribution": attribution.sum(axis=-1), "baseline": behind}
    relative = facts["relative_convergence_delta"]
    warnings = () if all(share is None or share <= TOLERANCE for share in relative) else (WARNING,)
    return Result({name: array.astype(np.float32) for name, array in arrays.items()}, facts, warnings=warnings)


def quadrature(steps: int) -> tuple[Floats, Floats]:
    """Where from 0 to 1 Gauss and Legendre's rule takes a function, and the weights, which sum to 1."""
    nodes, weights = np.polynomial.legendre.leggauss(steps)
    return (nodes + 1) / 2, weights / 2
