"""Findings about the input of a model: assumed settings, the input range, and how images are resized."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnexplain.inputs.images import ImageBatch, read
from cnnexplain.loading.infer_preprocess import PIXELS, SHARES, SIGNED, Range
from cnnexplain.model.classifier import Classifier

if TYPE_CHECKING:
    from jaxtyping import Float32

    from cnnexplain.inputs.preprocess import Preprocess

MISMATCH, MATCH = 0.5, 0.1
"""A normalization layer is reported if its inputs differ from its training statistics by more than `MISMATCH` nats and
another input range would bring the difference below `MATCH`."""

RANGE_TOLERANCE = 0.1
"""Tolerance for the ends of the input range, relative to the range that the model expects."""

RANGE_OPTIONS = {
    PIXELS: "--input-scale 1 --input-mean 0 --input-std 1",
    SHARES: "--input-scale 1/255 --input-mean 0 --input-std 1",
    SIGNED: "--input-scale 1/127.5 --input-mean 1 --input-std 1",
}
"""The options for the ranges that `expected_range` can infer."""

RANGES: dict[str, dict[str, Any]] = {
    "--input-scale 1/255": {"scale": 1 / 255, "mean": (0.0,), "std": (1.0,)},
    "--input-scale 1/127.5 --input-mean 1": {"scale": 1 / 127.5, "mean": (1.0,), "std": (1.0,)},
    "--input-scale 1": {"scale": 1.0, "mean": (0.0,), "std": (1.0,)},
    "--input-scale 1/255 --input-mean 0.485,0.456,0.406 --input-std 0.229,0.224,0.225": {
        "scale": 1 / 255,
        "mean": (0.485, 0.456, 0.406),
        "std": (0.229, 0.224, 0.225),
    },
    "--input-color bgr --input-scale 1 --input-mean 103.939,116.779,123.68": {
        "color": "bgr",
        "scale": 1.0,
        "mean": (103.939, 116.779, 123.68),
        "std": (1.0,),
    },
}
"""The input ranges of the models in Keras Applications, by the options that set them."""

MAX_RESIZED = 64
"""Maximum number of images that are resized in other ways."""

RESIZINGS: dict[str, dict[str, Any]] = {
    "without anti-aliasing, like image_dataset_from_directory of Keras, {}. If the model was trained on such images, use "
    "--input-antialias false (`antialias` in a sidecar)": {"antialias": False},
    "with anti-aliasing, {}. If the model was trained on such images, use --input-antialias true --input-interpolation "
    "bilinear": {
        "antialias": True,
        "interpolation": "bilinear",
    },
    "to the nearest pixels, like load_img(target_size=…) of Keras, {}. If the model was trained on such images, use "
    "--input-antialias true --input-interpolation nearest": {"antialias": True, "interpolation": "nearest"},
}
"""Other ways to resize images, by their description."""


def assumptions(classifier: Classifier) -> Iterator[str]:
    """Settings that were assumed, because neither the model nor the user states them."""
    preprocess = classifier.preprocess
    if "range" in preprocess.assumed and preprocess.bands is not None:
        yield (
            "The model's input range is unknown: the values of the files are used unchanged. If the model was trained with "
            "another range, set it with --input-scale, --input-mean and --input-std, or in a sidecar."
        )
    elif "range" in preprocess.assumed:
        yield (
            f"The model's input range is unknown: pixels are scaled to {preprocess.low:g} to {preprocess.high:g}. If the "
            "model was trained with another range, all explanations are wrong; set it with --input-scale, --input-mean "
            "and --input-std, or in a sidecar."
        )
    if "size" in preprocess.assumed:
        yield (
            f"The model accepts inputs of any size: {preprocess.height}×{preprocess.width} was assumed. "
            "Set the size that it was trained with by --input-size."
        )
    if not classifier.certain:
        yield (
            "The model ends without a softmax or sigmoid: its outputs are assumed to be scores before a "
            f"{classifier.head}. Confirm with --logits; if they are other numbers, use --values."
        )
    if classifier.doubt is not None:
        yield classifier.doubt


def input_range(
    classifier: Classifier, expected: Range | None, images: Float32[np.ndarray, "N H W C"], *, real: bool
) -> Iterator[str]:
    """Compares the input range with the one that the model's own layers expect.

    Args:
        classifier: The model.
        expected: The pixel range that the model's first operations expect; None if they do not determine it.
        images: In the model's input range.
        real: Whether the user provided the images; otherwise they are noise, which has other statistics.
    """
    preprocess = classifier.preprocess
    if expected is not None:
        tolerance = RANGE_TOLERANCE * (expected.high - expected.low)
        if abs(preprocess.low - expected.low) > tolerance or abs(preprocess.high - expected.high) > tolerance:
            yield (
                f"The model expects pixels from {expected.low:g} to {expected.high:g} ({expected}), but they are scaled to "
                f"{preprocess.low:.4g} to {preprocess.high:.4g}. Use {RANGE_OPTIONS[expected.low, expected.high]}."
            )
    first = classifier.first_normalization
    if first is None or not real or preprocess.bands is not None:
        return
    source, mean, variance = first
    pictures = preprocess.decode(images)

    def divergence(candidate: Preprocess) -> float:
        """Median Kullback-Leibler divergence of the channels from the training statistics, in nats."""
        inputs = classifier.activations(candidate.encode(pictures), [source])[source]
        inputs = inputs.astype(np.float64).reshape(-1, len(mean))
        ratio = np.maximum(inputs.var(axis=0), 1e-12) / variance
        shift = (inputs.mean(axis=0) - mean) ** 2 / variance
        return float(np.median(ratio + shift - 1 - np.log(ratio)) / 2)

    current = divergence(preprocess)
    if current <= MISMATCH:
        return
    divergences = {
        options: divergence(replace(preprocess, **fields))
        for options, fields in RANGES.items()
        if preprocess.channels == 3 or len(fields["mean"]) == 1
    }
    best = min(divergences, key=lambda options: divergences[options])
    lowest = divergences[best]
    if lowest < MATCH:
        yield (
            f"The input range may differ from the one in training: the inputs of the normalization after '{source}' do "
            f"not match its training statistics (divergence {current:.2g} nats); they do with {best} ({lowest:.2g} "
            "nats)."
        )


def resizing(classifier: Classifier, batch: ImageBatch, logits: Float32[np.ndarray, "N K"]) -> Iterator[str]:
    """Checks whether predictions depend on how the images are resized, which a model does not record."""
    preprocess = classifier.preprocess
    files = [index for index, source in enumerate(batch.sources) if source.resized and Path(source.name).is_file()]
    indices = files[:MAX_RESIZED]
    if preprocess.preset is not None or classifier.head == "values" or not indices:
        return
    for description, fields in RESIZINGS.items():
        other = replace(preprocess, **fields)
        if (other.samples, other.interpolation) == (preprocess.samples, preprocess.interpolation):
            continue
        images = [read(source.name, other, source.inverted)[0] for source in (batch.sources[index] for index in indices)]
        changed = classifier.logits(np.stack(images)).argmax(axis=1) != logits[indices].argmax(axis=1)
        if changed.any():
            yield f"Resized {description.format(f'{changed.sum()} of {len(indices)} images change class')}."
