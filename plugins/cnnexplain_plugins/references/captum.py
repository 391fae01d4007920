"""Comparisons with Captum (Kokhlikyan et al. 2020, arXiv:2009.07896) on PyTorch.

Captum's occlusion has other windows than ours, its Grad-CAM expects channels first, and its rules for ReLUs find only the
modules of PyTorch, so they are not compared.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from cnnexplain import Logit
from cnnexplain.checks import ROUNDING, difference, not_with_these_options
from cnnexplain.plugin import Measurement, Subject
from cnnexplain_plugins.references.raw_scores import raw_scores

TOLERANCE = 1e-3
"""The relative difference for sums over many steps."""


def saliency(subject: Subject) -> Measurement:
    """The largest difference of the gradient, relative to its largest magnitude."""
    if subject.options["crops"] != "one":
        return not_with_these_options()

    def attribute(model: Any, image: Any, target: int) -> Any:
        from captum.attr import Saliency

        return Saliency(model).attribute(image, target=target, abs=False)

    return _compared(subject, "gradient", attribute, ROUNDING)


def gradient_x_input(subject: Subject) -> Measurement:
    """The largest difference of the attribution, relative to its largest magnitude."""
    if subject.options["baseline"] is not None:
        return not_with_these_options()

    def attribute(model: Any, image: Any, target: int) -> Any:
        from captum.attr import InputXGradient

        return InputXGradient(model).attribute(image, target=target)

    return _compared(subject, "attribution", attribute, ROUNDING)


def integrated_gradients(subject: Subject) -> Measurement:
    """The largest difference of the attribution, relative to its largest magnitude."""

    def attribute(model: Any, image: Any, target: int) -> Any:
        import torch
        from captum.attr import IntegratedGradients

        baseline = torch.as_tensor(subject.array("baseline")[None], device=image.device)
        return IntegratedGradients(model).attribute(
            image,
            baselines=baseline,
            target=target,
            n_steps=subject.options["steps"],
            method="gausslegendre",
            internal_batch_size=subject.classifier.batch_size,
        )

    return _compared(subject, "attribution", attribute, TOLERANCE)


def _compared(subject: Subject, array: str, attribute: Callable[[Any, Any, int], Any], limit: float) -> Measurement:
    import keras

    if not isinstance(subject.objective, Logit):
        return Measurement(None, detail="the target is not a single class")
    model = raw_scores(subject)
    if model is None:
        return Measurement(None, detail="the model can't be turned into one of raw scores for Captum")
    image = keras.ops.convert_to_tensor(subject.image).clone().requires_grad_()
    theirs = attribute(lambda x: model(x, training=False), image, subject.classifier.target(subject.objective.target))
    values = np.asarray(keras.ops.convert_to_numpy(theirs))[0]
    return Measurement(difference(subject.array(array), values), limit, "all pixels")
