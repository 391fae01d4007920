"""Calls of Xplique, by the names of rows, in its own environment. It is told the classes, which cnnexplain predicts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from xplique import attributions

from benchmarks import named_limits
from benchmarks.subject import Subject

Call = Callable[[], object]


def _call(method: str, subject: Subject, count: int, **options: Any) -> Call:
    """A method for `count` images, with batches of the same size as those of the limit."""
    explainer = getattr(attributions, method)(subject.linear, batch_size=subject.batch, **options)
    targets = np.eye(subject.linear.output_shape[-1], dtype=np.float32)[np.resize(subject.targets, count)]
    images = subject.take(count)
    return lambda: np.asarray(explainer.explain(images, targets))


CALLS: dict[str, Callable[..., Call]] = {
    "saliency": lambda subject, count: _call("Saliency", subject, count),
    "smoothgrad": lambda subject, samples, noise: _call("SmoothGrad", subject, 1, nb_samples=samples, noise=noise),
    "integrated-gradients": lambda subject, steps: _call("IntegratedGradients", subject, 1, steps=steps),
    "gradcam": lambda subject, count: _call("GradCAM", subject, count, conv_layer=subject.last),
    "occlusion": lambda subject, patch, stride: _call("Occlusion", subject, 1, patch_size=patch, patch_stride=stride),
    "rise": lambda subject, masks, cells: _call("Rise", subject, 1, nb_samples=masks, grid_size=cells),
}

LIMITS = named_limits.LIMITS
