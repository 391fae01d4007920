"""The mathematics of gradient × input (Shrikumar et al. 2016, arXiv:1605.01713; Ancona et al. 2018, arXiv:1711.06104)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cnnexplain.numerics.baselines import baselines
from cnnexplain.numerics.completeness import completeness
from cnnexplain.plugin import Result

if TYPE_CHECKING:
    from cnnexplain.model.classifier import Classifier
    from cnnexplain.model.objectives import Objective
    from cnnexplain.types import Floats


def gradient_x_input(classifier: Classifier, images: Floats, objectives: list[Objective], baseline: str | None) -> Result:
    """The gradient at each image times its way from the baseline; see `run`."""
    behind = np.zeros_like(images) if baseline is None else baselines(baseline, images, classifier.preprocess)
    attribution = classifier.gradient(images, objectives) * (images - behind)
    arrays = {"attribution": attribution, "pixel_attribution": attribution.sum(axis=-1)}
    return Result(arrays, completeness(classifier, images, behind, objectives, attribution))
