"""The mathematics of SmoothGrad (Smilkov et al. 2017, arXiv:1706.03825, section 2)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from cnnexplain.numerics import batches, peaks
from cnnexplain.plugin import Result

if TYPE_CHECKING:
    from cnnexplain import Array, Classifier, Floats, Objective


BLOCK = 32
"""After every so many copies it is seen which images have enough of them, whatever the batches are."""


def smoothgrad(
    classifier: Classifier,
    images: Floats,
    objectives: list[Objective],
    progress: Callable[[int, int], None],
    *,
    samples: int,
    error: float,
    noise: float,
    seed: int,
) -> Result:
    """The mean gradient over copies with noise, and how sure it is; see `run`."""
    count = len(images)
    sigma = np.float32(noise) * np.abs(classifier.preprocess.white - classifier.preprocess.black)
    sums, squares, taken = np.zeros(images.shape), np.zeros(images.shape), np.zeros(count, int)
    active = np.arange(count)
    for first in range(0, samples, BLOCK):
        last = min(first + BLOCK, samples)
        # Images that need no more copies count as if they had had all.
        before = (count - len(active)) * samples + first * len(active)
        report = partial(_report, progress, before, samples * count)
        for batch in batches(classifier, last - first, len(active), report):
            copies, which = np.unique(batch.copy), active[batch.image]
            noises = np.stack([disturbance(images.shape[1:], seed, first + copy) for copy in copies])
            shown = images[which] + sigma * noises[batch.copy - copies[0]]
            gradient = classifier.gradient(shown, [objectives[index] for index in which]).astype(np.float64)
            sums[active] += batch.sum(gradient)
            squares[active] += batch.sum(gradient**2)
        taken[active] = last
        _, deviation = _moments(sums[active], squares[active], last)
        _, relative = _errors(sums[active] / last, deviation, taken[active])
        active = active[relative > error]
        if not len(active):
            break
    mean, deviation = _moments(sums, squares, taken[:, None, None, None])
    standard, relative = _errors(mean, deviation, taken)
    maps = np.abs(mean).max(axis=-1)
    facts = {
        "logit": [float(value) for value in classifier.values(images, objectives)],
        "peak": [float(each.max()) for each in maps],
        "peak_pixel": peaks(maps),
        "samples": taken.tolist(),
        "standard_error": standard.tolist(),
        "relative_error": relative.tolist(),
        "stopped_by": ["error" if each <= error else "samples" for each in relative],
    }
    arrays = {"gradient": mean, "deviation": deviation, "smoothgrad": maps}
    warnings = () if "samples" not in facts["stopped_by"] or not error else (NOISY.format(error, samples),)
    return Result({name: array.astype(np.float32) for name, array in arrays.items()}, facts, warnings=warnings)


NOISY = (
    "For some images, relative_error is still above --error {:g} after {} copies. Use more --samples or less --noise, or "
    "sum the map over regions (redraw --regions)."
)


def _report(progress: Callable[[int, int], None], before: int, total: int, done: int, _: int) -> None:
    progress(before + done, total)


def _moments(sums: Floats, squares: Floats, taken: int | Array) -> tuple[Floats, Floats]:
    """The mean gradient and its standard deviation over the copies, from their sums and sums of squares."""
    mean = sums / taken
    # Rounding may leave less than nothing where all copies agree.
    return mean, np.sqrt(np.maximum(squares - taken * mean**2, 0) / (taken - 1))


def _errors(mean: Floats, deviation: Floats, taken: Array) -> tuple[Floats, Floats]:
    """The standard error of each image's mean gradient, and that as a share of it, as root mean squares over the pixels."""
    standard, size = (np.sqrt((each**2).mean(axis=(1, 2, 3))) for each in (deviation, mean))
    standard = standard / np.sqrt(taken)
    return standard, np.divide(standard, size, out=np.zeros_like(standard), where=size > 0)


def disturbance(shape: tuple[int, ...], seed: int, copy: int) -> Floats:
    """Standard normal noise (H, W, C) for one copy, the same for every image: none depends on its neighbors in a batch."""
    return np.random.default_rng([seed, copy]).standard_normal(shape, np.float32)
