"""The mathematics of SmoothGrad (Smilkov et al. 2017, arXiv:1706.03825, section 2)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from cnnexplain.plugin import Result

if TYPE_CHECKING:
    from cnnexplain.arrays import Floats
    from cnnexplain.classifier import Classifier
    from cnnexplain.objectives import Objective


def smoothgrad(
    classifier: Classifier,
    images: Floats,
    objectives: list[Objective],
    progress: Callable[[int, int], None],
    *,
    samples: int,
    noise: float,
    seed: int,
) -> Result:
    """The mean gradient over copies with noise, and how sure it is; see `cnnexplain_smoothgrad.run`."""
    count, total = len(images), samples * len(images)
    sigma = np.float32(noise) * np.abs(classifier.preprocess.white - classifier.preprocess.black)
    sums, squares = np.zeros(images.shape), np.zeros(images.shape)
    for here in classifier.slices(total):
        copies, which = np.divmod(np.arange(here.start, here.stop), count)
        noises = np.stack([disturbance(images.shape[1:], seed, copy) for copy in range(copies[0], copies[-1] + 1)])
        shown = images[which] + sigma * noises[copies - copies[0]]
        gradient = classifier.gradient(shown, [objectives[index] for index in which]).astype(np.float64)
        own = (which == np.arange(count)[:, None]).astype(np.float64)
        sums += np.tensordot(own, gradient, 1)
        squares += np.tensordot(own, gradient**2, 1)
        progress(here.stop, total)
    mean = sums / samples
    # Rounding may leave less than nothing where all copies agree.
    variance = np.maximum(squares - samples * mean**2, 0) / (samples - 1)
    maps = np.abs(mean).max(axis=-1)
    peaks = [np.unravel_index(each.argmax(), each.shape) for each in maps]
    error, size = (np.sqrt(each.mean(axis=(1, 2, 3))) for each in (variance / samples, mean**2))
    facts = {
        "logit": [float(value) for value in classifier.values(images, objectives)],
        "peak": [float(each.max()) for each in maps],
        "peak_pixel": [[int(row), int(column)] for row, column in peaks],
        "standard_error": error.tolist(),
        "relative_error": np.divide(error, size, out=np.zeros_like(error), where=size > 0).tolist(),
    }
    arrays = {"gradient": mean, "deviation": np.sqrt(variance), "smoothgrad": maps}
    return Result({name: array.astype(np.float32) for name, array in arrays.items()}, facts)


def disturbance(shape: tuple[int, ...], seed: int, copy: int) -> Floats:
    """Standard normal noise (H, W, C) for one copy, the same for every image: none depends on its neighbours in a batch."""
    return np.random.default_rng([seed, copy]).standard_normal(shape, np.float32)
