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
        `sum` of the attributions; `residual`, the sum less the difference; and `relative_residual`, its magnitude as a share
        of the difference's, None where there is no difference.
    """
    scores, nothing = (classifier.values(each, objectives).astype(np.float64) for each in (images, baselines))
    sums = attribution.sum(axis=(1, 2, 3), dtype=np.float64)
    differences = scores - nothing
    residuals = sums - differences
    pairs = zip(residuals.tolist(), differences.tolist(), strict=True)
    return {
        "logit": scores.tolist(),
        "baseline_logit": nothing.tolist(),
        "difference": differences.tolist(),
        "sum": sums.tolist(),
        "residual": residuals.tolist(),
        "relative_residual": [abs(residual / difference) if difference else None for residual, difference in pairs],
    }
