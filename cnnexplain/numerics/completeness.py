"""How far attributions add up to what they should: the difference of the scores at an image and at its baseline."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnnexplain.model.classifier import Classifier
    from cnnexplain.model.objectives import Objective
    from cnnexplain.types import Floats


def completeness_facts(
    classifier: Classifier, images: Floats, baselines: Floats, objectives: Sequence[Objective], attribution: Floats
) -> dict[str, list[float | None]]:
    """What is known of each image's attribution, as facts by name.

    Args:
        classifier: The model.
        images: (N, H, W, C) in the model's input range.
        baselines: (N, H, W, C), what they are compared with.
        objectives: What the attributions are of, one for each image.
        attribution: (N, H, W, C), in the units of the objectives (logits).

    Returns:
        `logit` and `baseline_logit`, the objective at the image and at its baseline; `difference`, the one less the other;
        `sum` of the attributions; `convergence_delta`, the sum minus the difference; and `relative_convergence_delta`, its
        magnitude relative to the difference, None if that is 0.
    """
    scores, nothing = (classifier.values(each, objectives).astype(np.float64) for each in (images, baselines))
    sums = attribution.sum(axis=(1, 2, 3), dtype=np.float64)
    differences = scores - nothing
    deltas = sums - differences
    pairs = zip(deltas.tolist(), differences.tolist(), strict=True)
    return {
        "logit": scores.tolist(),
        "baseline_logit": nothing.tolist(),
        "difference": differences.tolist(),
        "sum": sums.tolist(),
        "convergence_delta": deltas.tolist(),
        "relative_convergence_delta": [abs(delta / difference) if difference else None for delta, difference in pairs],
    }
