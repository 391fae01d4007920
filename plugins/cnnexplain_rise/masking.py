"""What a network says of an image under random masks (Petsiuk et al. 2018, arXiv:1806.07421, section 3.1)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from cnnexplain.plugin import Result
from cnnexplain_rise.masks import Masks, random_masks

if TYPE_CHECKING:
    from cnnexplain.arrays import Floats, Integers
    from cnnexplain.classifier import Classifier

PIXELS = 1 << 22
"""How many pixels of masks are held at once."""

DOUBTFUL = 0.5
"""The standard error as a share of the map from which on users are told."""

WARNING = "The maps of some images are noise to a great part (see relative_error); take more --masks, or larger cells."


def rise(
    classifier: Classifier,
    images: Floats,
    targets: Integers,
    progress: Callable[[int, int], None],
    *,
    count: int,
    cells: int | None,
    keep: float,
    seed: int,
) -> Result:
    """The maps by pixel and what is known of each image; see `cnnexplain_rise.run`."""
    masks = random_masks(images.shape[1], images.shape[2], count, cells, keep, seed)
    found = _probabilities(classifier, images, targets, masks, progress)
    means = found.mean(axis=0)
    beyond = found - means
    sums, products, squares = (np.zeros(images.shape[:3]) for _ in range(3))
    step = max(1, PIXELS // sums[0].size)
    for start in range(0, count, step):
        here = slice(start, start + step)
        shown = masks[here].astype(np.float64)
        sums += np.tensordot(found[here].T, shown, 1)
        products += np.tensordot(beyond[here].T, shown, 1)
        squares += np.tensordot(beyond[here].T ** 2, (shown - keep) ** 2, 1)
    # Since Σ (f − mean f) = 0, the products are those with M − E[M] too. Rounding may leave less than nothing of a variance.
    variance = np.maximum(squares / count - (products / count) ** 2, 0)
    gain, error = products / (keep * (count - 1)), np.sqrt(variance / count) / keep
    peaks = [np.unravel_index(each.argmax(), each.shape) for each in gain]
    spread, doubt = (np.sqrt((each**2).mean(axis=(1, 2))) for each in (gain, error))
    relative = np.divide(doubt, spread, out=np.zeros_like(doubt), where=spread > 0)
    each = np.arange(len(images))
    facts = {
        "probability": classifier.predict(images)[each, targets].tolist(),
        "masked_probability": means.tolist(),
        "peak": gain.max(axis=(1, 2)).tolist(),
        "peak_pixel": [[int(row), int(column)] for row, column in peaks],
        "relative_error": relative.tolist(),
        "cells": [list(masks.grids.shape[1:])] * len(images),
    }
    arrays = {"saliency": sums / (keep * count), "gain": gain, "standard_error": error}
    warnings = (WARNING,) if (relative > DOUBTFUL).any() else ()
    return Result({name: array.astype(np.float32) for name, array in arrays.items()}, facts, warnings=warnings)


def _probabilities(
    classifier: Classifier, images: Floats, targets: Integers, masks: Masks, progress: Callable[[int, int], None]
) -> Floats:
    """The probability of each image's target under each mask, (n, N)."""
    black, total = classifier.preprocess.black, len(masks) * len(images)
    found = np.zeros(total)
    for here in classifier.slices(total):
        numbers, which = np.divmod(np.arange(here.start, here.stop), len(images))
        shown = masks[numbers[0] : numbers[-1] + 1][numbers - numbers[0], :, :, None]
        probabilities = classifier.predict(black + shown * (images[which] - black))
        found[here] = probabilities[np.arange(len(which)), targets[which]]
        progress(here.stop, total)
    return found.reshape(len(masks), len(images))
