"""The mathematics of gradient × input (Shrikumar et al. 2016, arXiv:1605.01713; Ancona et al. 2018, arXiv:1711.06104)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cnnexplain.numerics import baseline_images, completeness_facts
from cnnexplain.plugin import Result

if TYPE_CHECKING:
    from cnnexplain import Classifier, Floats, Objective


def gradient_x_input(classifier: Classifier, images: Floats, objectives: list[Objective], baseline: str | None) -> Result:
    """The gradient at each image times its way from the baseline; see `run`."""
    behind = np.zeros_like(images) if baseline is None else baseline_images(baseline, images, classifier.preprocess)
    attribution = classifier.gradient(images, objectives) * (images - behind)
    arrays = {"attribution": attribution, "pixel_attribution": attribution.sum(axis=-1)}
    return Result(arrays, completeness_facts(classifier, images, behind, objectives, attribution))
