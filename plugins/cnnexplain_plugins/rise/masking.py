"""What a network says of an image under random masks (Petsiuk et al. 2018, arXiv:1806.07421, section 3.1)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from cnnexplain.errors import UsageError
from cnnexplain.numerics import batches, peaks
from cnnexplain.plugin import Result
from cnnexplain_plugins.rise.masks import Masks, random_masks

if TYPE_CHECKING:
    from cnnexplain import Classifier, Floats, Integers

PIXELS = 1 << 22
"""How many pixels of masks are held at once."""

DOUBTFUL, NOISE = 0.5, 0.8
"""The standard error as a share of the map from which on users are told; and from which on the map is said to be noise,
since its spread is then mostly (0.8² = 64%) that of its error."""

WARNING = "The maps of some images are partly noise (see relative_error); use more --masks or larger cells."

NOTHING = (
    "The maps of some images are mostly noise: they vary no more than their own standard error (see relative_error). Use "
    "{}more --masks or larger cells."
)

FAINT = 0.01
"""A mean probability under the masks below which few of them decide the map."""

RARE = (
    "Under the masks the classes of some images have a mean probability below {:.0%} (masked_probability): few masks decide "
    "their maps, and the standard error is itself unsure. Ask for the logit (--of logit)."
)

LOGIT = "the logit instead of the probability (--of logit), which changes even if the probability stays near 0 or 1, or "


def rise(
    classifier: Classifier,
    images: Floats,
    targets: Integers,
    progress: Callable[[int, int], None],
    *,
    of: str | None,
    count: int,
    cells: int | None,
    keep: float,
    seed: int,
) -> Result:
    """The maps by pixel and what is known of each image; see `run`."""
    if of == "probability" and classifier.head == "values":
        raise UsageError(f"'{classifier.name}' returns values, which have no probabilities; leave out --of probability.")
    of = of or ("logit" if classifier.head == "values" else "probability")
    masks = random_masks(images.shape[1], images.shape[2], count, cells, keep, seed)
    answers = _answers(classifier, images, targets, masks, progress)
    found = answers[of]
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
    spread, doubt = (np.sqrt((each**2).mean(axis=(1, 2))) for each in (gain, error))
    relative = np.divide(doubt, spread, out=np.zeros_like(doubt), where=spread > 0)
    facts = {
        **{name: values.tolist() for name, values in _of_targets(classifier, images, targets).items()},
        **{f"masked_{name}": values.mean(axis=0).tolist() for name, values in answers.items()},
        "peak": gain.max(axis=(1, 2)).tolist(),
        "peak_pixel": peaks(gain),
        "relative_error": relative.tolist(),
        "cells": [list(masks.grids.shape[1:])] * len(images),
    }
    arrays = {"saliency": sums / (keep * count), "gain": gain, "standard_error": error}
    warnings = []
    if (relative > NOISE).any():
        warnings.append(NOTHING.format(LOGIT if of == "probability" else ""))
    elif (relative > DOUBTFUL).any():
        warnings.append(WARNING)
    if of == "probability" and (means < FAINT).any():
        warnings.append(RARE.format(FAINT))
    return Result({name: array.astype(np.float32) for name, array in arrays.items()}, facts, warnings=tuple(warnings))


def _answers(
    classifier: Classifier, images: Floats, targets: Integers, masks: Masks, progress: Callable[[int, int], None]
) -> dict[str, Floats]:
    """The probability and the logit of each image's target under each mask, both (n, N)."""
    black = classifier.preprocess.black
    found: dict[str, Floats] = {}
    for batch in batches(classifier, len(masks), len(images), progress):
        first = batch.copy[0]
        shown = masks[first : batch.copy[-1] + 1][batch.copy - first, :, :, None]
        hidden = black + shown * (images[batch.image] - black)
        for name, values in _of_targets(classifier, hidden, targets[batch.image]).items():
            found.setdefault(name, np.zeros(len(masks) * len(images)))[batch.rows] = values
    return {name: values.reshape(len(masks), len(images)) for name, values in found.items()}


def _of_targets(classifier: Classifier, images: Floats, targets: Integers) -> dict[str, Floats]:
    """The probability and the logit of each image's target, both (N,)."""
    logits, each = classifier.logits(images), np.arange(len(images))
    found = {"logit": logits[each, targets]}
    if classifier.head != "values":
        found["probability"] = classifier.probabilities(logits)[each, targets]
    return found
