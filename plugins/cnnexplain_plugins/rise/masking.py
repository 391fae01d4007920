"""The outputs of a network for images under random masks (Petsiuk et al. 2018, arXiv:1806.07421, section 3.1)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnexplain.errors import UsageError
from cnnexplain.numerics import Copies, peaks, relative_error
from cnnexplain.plugin import NOISE_LIMIT, Result
from cnnexplain_plugins.rise.masks import random_masks, visible

if TYPE_CHECKING:
    from jaxtyping import Float32, Int64, Shaped

    from cnnexplain import Classifier

DOUBTFUL = 0.5
"""The relative standard error of a map above which a warning says that it is partly noise."""

PARTLY_NOISE = "The maps of some images are partly noise (see relative_error); use more --masks or fewer --cells."

FAINT = 0.01
"""A mean probability under the masks below which a few masks dominate the map."""

RARE = (
    "Under the masks, the classes of some images have a mean probability below {:.0%} (masked_probability): a few masks "
    "dominate their maps, and the standard error itself is unreliable. Use the logit (--of logit)."
)


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
    black = np.broadcast_to(classifier.preprocess.black, (len(images), 1, 1, images.shape[-1]))

    def parameters(part: range) -> list[Shaped[np.ndarray, "n ..."]]:
        rows = slice(part.start, part.stop)
        return [masks.grids[rows], masks.shifts[rows], np.full((len(part), 1, 1), keep)]

    moments = classifier.value_moments(
        images, targets, Copies(masked, count, parameters, [black]), deviation, of=of, progress=progress
    )
    values = moments.values[of]
    means = values.mean(axis=0)
    # Rounding may make a variance negative.
    variance = np.maximum(moments.squares / count - (moments.products / count) ** 2, 0)
    gain, error = moments.products / (keep * (count - 1)), np.sqrt(variance / count) / keep
    sums = moments.products + means[:, None, None] * moments.features + keep * values.sum(axis=0)[:, None, None]
    relative = relative_error(error, gain)
    facts = {
        **{name: each.tolist() for name, each in _target_outputs(classifier, images, targets).items()},
        **{f"masked_{name}": each.mean(axis=0).tolist() for name, each in moments.values.items()},
        "peak": gain.max(axis=(1, 2)).tolist(),
        "peak_pixel": peaks(gain),
        "relative_error": relative.tolist(),
        "cells": [list(masks.grids.shape[1:])] * len(images),
    }
    arrays = {"saliency": sums / (keep * count), "gain": gain, "standard_error": error}
    warnings = []
    # There is a general warning about maps of which more than half is noise.
    if ((relative > DOUBTFUL) & (relative <= NOISE_LIMIT)).any():
        warnings.append(PARTLY_NOISE)
    if of == "probability" and (means < FAINT).any():
        warnings.append(RARE.format(FAINT))
    return Result({name: array.astype(np.float32) for name, array in arrays.items()}, facts, warnings=tuple(warnings))


def masked(image: Any, black: Any, grids: Any, shifts: Any, _: Any) -> Any:
    """Images behind masks: black where a mask is 0."""
    return black + visible(grids, shifts, *image.shape[2:4])[..., None] * (image - black)


def deviation(image: Any, _: Any, grids: Any, shifts: Any, keep: Any) -> Any:
    """The pixels of the masks minus their expectation, the share of the cells that are visible."""
    return visible(grids, shifts, *image.shape[2:4]) - keep


def _target_outputs(
    classifier: Classifier, images: Float32[np.ndarray, "N H W C"], targets: Int64[np.ndarray, " N"]
) -> dict[str, Float32[np.ndarray, " N"]]:
    """The probability (unless the model predicts values) and the logit of each image's target."""
    logits, index = classifier.logits(images), np.arange(len(images))
    outputs = {"logit": logits[index, targets]}
    if classifier.head != "values":
        outputs["probability"] = classifier.probabilities(logits)[index, targets]
    return outputs
