"""Findings about the values inside a model: saturated probabilities, useless gradients, dead channels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from cnnexplain.doctor.reports import LayerReport
from cnnexplain.errors import ModelError
from cnnexplain.inputs.images import ImageBatch
from cnnexplain.model.classifier import Classifier

if TYPE_CHECKING:
    from jaxtyping import Float32

SATURATED = 1e-6
"""Probabilities closer to 1 than this count as saturated: changes of the image hardly change them."""

MIN_IMAGES, DEAD_SHARE = 16, 1 / 3
"""A layer is reported if more than `DEAD_SHARE` of its channels are zero for all of at least `MIN_IMAGES` images."""

LISTED = 8
"""Maximum number of layers that are listed."""


def saturation(classifier: Classifier, logits: Float32[np.ndarray, "N K"]) -> Iterator[str]:
    """Whether the probability of the prediction is practically 1 for most images."""
    largest = classifier.probabilities(logits.astype(np.float64)).max(axis=1)
    saturated = int((1 - largest < SATURATED).sum())
    if 2 * saturated > len(logits):
        yield (
            f"The {classifier.head} saturates: for {saturated} of {len(logits)} images the probability is 1 to six digits, "
            "so hiding or changing a part of the image hardly changes it. Read the logits instead of the probabilities."
        )


def gradient(classifier: Classifier, batch: ImageBatch) -> Iterator[str]:
    """Whether the gradient for the first image can be computed, and is finite and not zero everywhere."""
    images = np.asarray(batch[:1])
    try:
        values = classifier.gradient(images, classifier.logits(images).argmax(axis=1))
    except ModelError as error:
        yield str(error)
        return
    if not np.isfinite(values).all():
        yield "The gradient of the prediction's score is not finite."
    elif not values.any():
        yield "The gradient of the prediction's score is zero everywhere, so methods based on gradients show nothing."


def dead_channels(layers: Sequence[LayerReport], images: int) -> Iterator[str]:
    """Layers in which many channels are zero for all images.

    Args:
        layers: The layers.
        images: The number of images on which they were computed.
    """
    if images < MIN_IMAGES:
        return
    dead = [report for report in layers if report.silent > DEAD_SHARE * report.layer.shape[-1]]
    if dead:
        named = ", ".join(
            f"{report.silent} of {report.layer.shape[-1]} in '{report.layer.name}'" for report in dead[:LISTED]
        )
        more = f" and in {len(dead) - LISTED} more layers" if len(dead) > LISTED else ""
        yield f"Channels that are zero for all {images} images: {named}{more}."
