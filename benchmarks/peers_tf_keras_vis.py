"""Calls of tf-keras-vis, by the names of rows. It is told the classes, which cnnexplain predicts."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from tf_keras_vis.activation_maximization import ActivationMaximization
from tf_keras_vis.gradcam import Gradcam
from tf_keras_vis.saliency import Saliency
from tf_keras_vis.utils.scores import CategoricalScore

from benchmarks.subject import Subject

Call = Callable[[], object]


def saliency(subject: Subject, count: int) -> Call:
    """The maps of `count` images."""
    explain, images = Saliency(subject.linear, clone=False), subject.take(count)
    score = _score(subject, count)
    return lambda: explain(score, images, normalize_map=False)


def smoothgrad(subject: Subject, samples: int, noise: float) -> Call:
    """The map of one image."""
    explain, images, score = Saliency(subject.linear, clone=False), subject.take(1), _score(subject, 1)
    return lambda: explain(score, images, smooth_samples=samples, smooth_noise=noise, normalize_map=False)


def gradcam(subject: Subject, count: int) -> Call:
    """The maps of `count` images, enlarged."""
    warnings.simplefilter("ignore")
    explain, images, score = Gradcam(subject.linear, clone=False), subject.take(count), _score(subject, count)
    return lambda: explain(
        score, images, penultimate_layer=subject.last, seek_penultimate_conv_layer=False, normalize_cam=False
    )


def activation_maximization(subject: Subject, steps: int, count: int) -> Call:
    """`count` pictures of one class."""
    explain, images = ActivationMaximization(subject.linear, clone=False), subject.take(count)
    black, _, white = (float(color[0]) for color in subject.colors)
    score = CategoricalScore([0] * count)
    return lambda: explain(score, seed_input=images, steps=steps, input_range=(black, white))


def _score(subject: Subject, count: int) -> Any:
    return CategoricalScore([int(target) for target in np.resize(subject.targets, count)])


CALLS: dict[str, Callable[..., Call]] = {
    "saliency": saliency,
    "smoothgrad": smoothgrad,
    "gradcam": gradcam,
    "activation-maximization": activation_maximization,
}
