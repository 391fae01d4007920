"""Completeness: whether attributions sum to the difference between the scores of an image and of its baseline."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float

    from cnnexplain.model.classifier import Classifier
    from cnnexplain.model.computation.objectives import Objective


def completeness_facts(
    classifier: Classifier,
    images: Float[np.ndarray, "N H W C"],
    baselines: Float[np.ndarray, "N H W C"],
    objectives: Sequence[Objective],
    attribution: Float[np.ndarray, "N H W C"],
    baseline_logits: Float[np.ndarray, " N"] | None = None,
) -> dict[str, list[float | None]]:
    """Facts about the completeness of each image's attribution, by name.

    Args:
        classifier: The model.
        images: (N, H, W, C) in the model's input range.
        baselines: (N, H, W, C), their baselines.
        objectives: The objective of each image.
        attribution: (N, H, W, C), in the units of the objectives (logits).
        baseline_logits: (N,), the objectives at the baselines, if they are known already.

    Returns:
        `logit` and `baseline_logit`, the objective at the image and at its baseline; `difference`, the former minus the
        latter; `sum` of the attributions; `convergence_delta`, the sum minus the difference; and
        `relative_convergence_delta`, its magnitude relative to the difference, None if that is 0.
    """
    if baseline_logits is None:
        baseline_logits = classifier.values(baselines, objectives)
    scores, baseline_scores = (each.astype(np.float64) for each in (classifier.values(images, objectives), baseline_logits))
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
