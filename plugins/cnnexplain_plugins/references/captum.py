"""Comparisons with Captum (Kokhlikyan et al. 2020, arXiv:2009.07896) on PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from cnnexplain import Logit
from cnnexplain.checks import ROUNDING, difference, not_with_these_options
from cnnexplain.numerics import baseline_function
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

        return Saliency(_scores(model)).attribute(image, target=target, abs=False)

    return _compared(subject, "gradient", attribute, ROUNDING)


def gradient_x_input(subject: Subject) -> Measurement:
    """The largest difference of the attribution, relative to its largest magnitude."""
    if subject.options["baseline"] is not None:
        return not_with_these_options()

    def attribute(model: Any, image: Any, target: int) -> Any:
        from captum.attr import InputXGradient

        return InputXGradient(_scores(model)).attribute(image, target=target)

    return _compared(subject, "attribution", attribute, ROUNDING)


def integrated_gradients(subject: Subject) -> Measurement:
    """The largest difference of the attribution, relative to its largest magnitude."""

    def attribute(model: Any, image: Any, target: int) -> Any:
        import torch
        from captum.attr import IntegratedGradients

        baseline = torch.as_tensor(subject.array("baseline")[None], device=image.device)
        return IntegratedGradients(_scores(model)).attribute(
            image,
            baselines=baseline,
            target=target,
            n_steps=subject.options["steps"],
            method="gausslegendre",
            internal_batch_size=subject.classifier.batch_size,
        )

    return _compared(subject, "attribution", attribute, TOLERANCE)


def occlusion(subject: Subject) -> Measurement:
    """The largest difference of the drops of the logit, relative to the largest drop."""
    rows, columns, side, stride = (subject.fact(name) for name in ("rows", "columns", "patch", "stride"))
    if any(starts[-1] % stride for starts in (rows, columns)):
        detail = "Captum's last squares are cut off by the border, ours are moved to it; another --stride avoids both"
        return Measurement(None, detail=detail)
    classifier, channels = subject.classifier, subject.image.shape[-1]

    def attribute(model: Any, image: Any, target: int) -> Any:
        import torch
        from captum.attr import Occlusion

        filling = baseline_function(subject.options["fill"], classifier.preprocess, side / 2, "--fill")(subject.image[0])
        shape = (1, *subject.image.shape[1:])
        baseline = torch.as_tensor(np.array(np.broadcast_to(filling, shape), np.float32), device=image.device)
        with torch.no_grad():
            drops = Occlusion(_scores(model)).attribute(
                image,
                sliding_window_shapes=(side, side, channels),
                strides=(stride, stride, channels),
                baselines=baseline,
                target=target,
                perturbations_per_eval=classifier.batch_size,
            )
        # A square covers all channels, so each of them has the same value.
        return drops[..., 0]

    return _compared(subject, "logit_drop", attribute, TOLERANCE)


def gradcam(subject: Subject) -> Measurement:
    """The largest difference of the evidence, relative to its largest magnitude."""
    layer = subject.classifier.layer(subject.fact("layer"))
    if subject.options["method"] != "gradcam":
        return Measurement(None, detail=f"Captum has no {subject.options['method']}")
    if not layer.maps or "/" in layer.name:
        return Measurement(None, detail="compared only for feature maps of layers that are not in nested models")

    def attribute(model: Any, image: Any, target: int) -> Any:
        import keras
        import torch
        from captum.attr import LayerGradCam

        output = model.get_layer(layer.name).output
        below, above = keras.Model(model.inputs[0], output), keras.Model(output, model.outputs[0])
        # Captum takes the means over all axes but the first two, so it needs a layer with the channels first.
        maps, network = torch.nn.Identity(), torch.nn.Module()
        network.maps = maps
        network.forward = lambda x: above(
            maps(below(x, training=False).permute(0, 3, 1, 2)).permute(0, 2, 3, 1), training=False
        )
        return LayerGradCam(network, maps).attribute(image, target=target)[:, 0]

    return _compared(subject, "evidence", attribute, TOLERANCE)


def _scores(model: Any) -> Callable[[Any], Any]:
    return lambda images: model(images, training=False)


def _compared(subject: Subject, array: str, attribute: Callable[[Any, Any, int], Any], limit: float) -> Measurement:
    import keras

    if not isinstance(subject.objective, Logit):
        return Measurement(None, detail="the target is not a single class")
    model = raw_scores(subject)
    if model is None:
        return Measurement(None, detail="the model can't be turned into one of raw scores for Captum")
    image = keras.ops.convert_to_tensor(subject.image).clone().requires_grad_()
    theirs = attribute(model, image, subject.classifier.target(subject.objective.target))
    values = np.asarray(keras.ops.convert_to_numpy(theirs))[0]
    return Measurement(difference(subject.array(array), values), limit, f"all values of '{array}'")
