"""The outputs of a network for images under random masks (Petsiuk et al. 2018, arXiv:1806.07421, section 3.1)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from cnnexplain.errors import UsageError
from cnnexplain.numerics import batches, peaks
from cnnexplain.plugin import Result
from cnnexplain_plugins.rise.masks import Masks, random_masks

if TYPE_CHECKING:
    from jaxtyping import Float32, Float64, Int64

    from cnnexplain import Classifier

PIXELS = 1 << 22
"""The maximum number of mask pixels in memory at once."""

DOUBTFUL, NOISE = 0.5, 0.8
"""The relative standard error of a map from which on there is a warning; and from which on the map is called noise, because
most of its variance (0.8² = 64%) is then that of its error."""

PARTLY_NOISE = "The maps of some images are partly noise (see relative_error); use more --masks or larger cells."

MOSTLY_NOISE = (
    "The maps of some images are mostly noise: they vary no more than their own standard error (see relative_error). Use "
    "{}more --masks or larger cells."
)

FAINT = 0.01
"""A mean probability under the masks below which a few masks dominate the map."""

RARE = (
    "Under the masks, the classes of some images have a mean probability below {:.0%} (masked_probability): a few masks "
    "dominate their maps, and the standard error itself is unreliable. Use the logit (--of logit)."
)

LOGIT = "the logit instead of the probability (--of logit), which changes even if the probability stays near 0 or 1, or "


def rise(
    classifier: Classifier,
    images: Float32[np.ndarray, "N H W C"],
    targets: Int64[np.ndarray, " N"],
    progress: Callable[[int, int], None],
    *,
    of: str | None,
    count: int,
    cells: int | None,
    keep: float,
    seed: int,
) -> Result:
    """The maps by pixel, and the facts of each image; see `run`."""
    if of == "probability" and classifier.head == "values":
        raise UsageError(f"'{classifier.name}' returns values, not probabilities; leave out --of probability.")
    of = of or ("logit" if classifier.head == "values" else "probability")
    masks = random_masks(images.shape[1], images.shape[2], count, cells, keep, seed)
    outputs = _masked_outputs(classifier, images, targets, masks, progress)
    values = outputs[of]
    means = values.mean(axis=0)
    deviations = values - means
    sums, products, squares = (np.zeros(images.shape[:3]) for _ in range(3))
    step = max(1, PIXELS // sums[0].size)
    for start in range(0, count, step):
        part = slice(start, start + step)
        visible = masks[part].astype(np.float64)
        sums += np.tensordot(values[part].T, visible, 1)
        products += np.tensordot(deviations[part].T, visible, 1)
        squares += np.tensordot(deviations[part].T ** 2, (visible - keep) ** 2, 1)
    # Since Σ (f − mean f) = 0, these are also the products with M − E[M]. Rounding may make a variance negative.
    variance = np.maximum(squares / count - (products / count) ** 2, 0)
    gain, error = products / (keep * (count - 1)), np.sqrt(variance / count) / keep
    gain_size, error_size = (np.sqrt((each**2).mean(axis=(1, 2))) for each in (gain, error))
    relative = np.divide(error_size, gain_size, out=np.zeros_like(error_size), where=gain_size > 0)
    facts = {
        **{name: each.tolist() for name, each in _target_outputs(classifier, images, targets).items()},
        **{f"masked_{name}": each.mean(axis=0).tolist() for name, each in outputs.items()},
        "peak": gain.max(axis=(1, 2)).tolist(),
        "peak_pixel": peaks(gain),
        "relative_error": relative.tolist(),
        "cells": [list(masks.grids.shape[1:])] * len(images),
    }
    arrays = {"saliency": sums / (keep * count), "gain": gain, "standard_error": error}
    warnings = []
    if (relative > NOISE).any():
        warnings.append(MOSTLY_NOISE.format(LOGIT if of == "probability" else ""))
    elif (relative > DOUBTFUL).any():
        warnings.append(PARTLY_NOISE)
    if of == "probability" and (means < FAINT).any():
        warnings.append(RARE.format(FAINT))
    return Result({name: array.astype(np.float32) for name, array in arrays.items()}, facts, warnings=tuple(warnings))


def _masked_outputs(
    classifier: Classifier,
    images: Float32[np.ndarray, "N H W C"],
    targets: Int64[np.ndarray, " N"],
    masks: Masks,
    progress: Callable[[int, int], None],
) -> dict[str, Float64[np.ndarray, "n N"]]:
    """The probability and the logit of each image's target under each mask."""
    black = classifier.preprocess.black
    outputs: dict[str, Float64[np.ndarray, " outputs"]] = {}
    for batch in batches(classifier, len(masks), len(images), progress):
        first = batch.copy[0]
        visible = masks[first : batch.copy[-1] + 1][batch.copy - first, :, :, None]
        masked = black + visible * (images[batch.image] - black)
        for name, values in _target_outputs(classifier, masked, targets[batch.image]).items():
            outputs.setdefault(name, np.zeros(len(masks) * len(images)))[batch.rows] = values
    return {name: values.reshape(len(masks), len(images)) for name, values in outputs.items()}


def _target_outputs(
    classifier: Classifier, images: Float32[np.ndarray, "N H W C"], targets: Int64[np.ndarray, " N"]
) -> dict[str, Float32[np.ndarray, " N"]]:
    """The probability (unless the model predicts values) and the logit of each image's target."""
    logits, index = classifier.logits(images), np.arange(len(images))
    outputs = {"logit": logits[index, targets]}
    if classifier.head != "values":
        outputs["probability"] = classifier.probabilities(logits)[index, targets]
    return outputs
