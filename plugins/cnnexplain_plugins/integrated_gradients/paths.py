"""The mathematics of integrated gradients (Sundararajan, Taly, Yan 2017, arXiv:1703.01365, sections 3 and 5)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from cnnexplain.numerics import baseline_images, completeness_facts
from cnnexplain.plugin import Result

if TYPE_CHECKING:
    from cnnexplain import Classifier, Floats, Objective

TOLERANCE = 0.05
"""The residual as a share of the difference from which on users are told; section 5 of the paper asks for 5 %."""

WARNING = (
    f"The attributions of some images miss the difference of the scores by more than {TOLERANCE:.0%} (relative_residual); "
    "more --steps may bring them closer."
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
    count, total = len(images), steps * len(images)
    behind = baseline_images(baseline, images, classifier.preprocess)
    way = images - behind
    places, weights = quadrature(steps)
    mean = np.zeros(images.shape)
    for here in classifier.slices(total):
        step, which = np.divmod(np.arange(here.start, here.stop), count)
        shown = behind[which] + places[step, None, None, None].astype(np.float32) * way[which]
        gradient = classifier.gradient(shown, [objectives[index] for index in which])
        own = np.where(which == np.arange(count)[:, None], weights[step], 0)
        mean += np.tensordot(own, gradient, 1)
        progress(here.stop, total)
    attribution = way * mean
    facts = completeness_facts(classifier, images, behind, objectives, attribution)
    arrays = {"attribution": attribution, "pixel_attribution": attribution.sum(axis=-1), "baseline": behind}
    relative = facts["relative_residual"]
    warnings = () if all(share is None or share <= TOLERANCE for share in relative) else (WARNING,)
    return Result({name: array.astype(np.float32) for name, array in arrays.items()}, facts, warnings=warnings)


def quadrature(steps: int) -> tuple[Floats, Floats]:
    """Where from 0 to 1 Gauss and Legendre's rule takes a function, and the weights, which sum to 1."""
    nodes, weights = np.polynomial.legendre.leggauss(steps)
    return (nodes + 1) / 2, weights / 2
