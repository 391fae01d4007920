"""Completeness: whether attributions sum to the difference between the scores of an image and of its baseline."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float

    from cnnexplain.model.classifier import Classifier
    from cnnexplain.model.objectives import Objective


def completeness_facts(
    classifier: Classifier,
    images: Float[np.ndarray, "N H W C"],
    baselines: Float[np.ndarray, "N H W C"],
    objectives: Sequence[Objective],
    attribution: Float[np.ndarray, "N H W C"],
) -> dict[str, list[float | None]]:
    """Facts about the completeness of each image's attribution, by name.

    Args:
        classifier: The model.
        images: (N, H, W, C) in the model's input range.
        baselines: (N, H, W, C), their baselines.
        objectives: The objective of each image.
        attribution: (N, H, W, C), in the units of the objectives (logits).

    Returns:
        `logit` and `baseline_logit`, the objective at the image and at its baseline; `difference`, the former minus the
        latter; `sum` of the attributions; `convergence_delta`, the sum minus the difference; and
        `relative_convergence_delta`, its magnitude relative to the difference, None if that is 0.
    """
    scores, baseline_scores = (classifier.values(each, objectives).astype(np.float64) for each in (images, baselines))
    sums = attribution.sum(axis=(1, 2, 3), dtype=np.float64)
    differences = scores - baseline_scores
    deltas = sums - differences
    pairs = zip(deltas.tolist(), differences.tolist(), strict=True)
    return {
        "logit": scores.tolist(),
        "baseline_logit": baseline_scores.tolist(),
        "difference": differences.tolist(),
        "sum": sums.tolist(),
        "convergence_delta": deltas.tolist(),
        "relative_convergence_delta": [abs(delta / difference) if difference else None for delta, difference in pairs],
    }
