"""The limits that are also measured in the environments of peers, by the name of the rows and a few numbers."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks import limits, limits_masking
from benchmarks.subject import Subject


def saliency(subject: Subject, count: int) -> limits.Limit:
    """Of `count` images."""
    return limits.saliency(subject, subject.take(count))


def smoothgrad(subject: Subject, samples: int, noise: float) -> limits.Limit:
    """Of one image with noisy copies."""
    return limits.smoothgrad(subject, subject.images[0], samples, noise)


def integrated_gradients(subject: Subject, steps: int) -> limits.Limit:
    """Of one image."""
    return limits.integrated_gradients(subject, subject.images[0], steps)


def gradcam(subject: Subject, count: int) -> limits.Limit:
    """Of `count` images."""
    return limits.gradcam(subject, subject.take(count))


def occlusion(subject: Subject, patch: int, stride: int) -> limits.Limit:
    """Of one image."""
    return limits_masking.occlusion(subject, subject.images[0], patch, stride)


def rise(subject: Subject, masks: int, cells: int) -> limits.Limit:
    """Of one image."""
    return limits_masking.rise(subject, subject.images[0], masks, cells)


LIMITS: dict[str, Callable[..., limits.Limit]] = {
    "saliency": saliency,
    "smoothgrad": smoothgrad,
    "integrated-gradients": integrated_gradients,
    "gradcam": gradcam,
    "occlusion": occlusion,
    "rise": rise,
}
