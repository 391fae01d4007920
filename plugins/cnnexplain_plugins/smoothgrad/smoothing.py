"""The computation of SmoothGrad (Smilkov et al. 2017, arXiv:1706.03825, section 2)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from cnnexplain.numerics import batches, peaks
from cnnexplain.plugin import Result

if TYPE_CHECKING:
    from jaxtyping import Float, Float32, Int

    from cnnexplain import Classifier, Objective


BLOCK = 32
"""After every `BLOCK` copies, images whose error is small enough are finished, whatever the batch size."""


def smoothgrad(
    classifier: Classifier,
    images: Float32[np.ndarray, "N H W C"],
    objectives: list[Objective],
    progress: Callable[[int, int], None],
    *,
    samples: int,
    error: float,
    noise: float,
    seed: int,
) -> Result:
    """The mean gradient over noisy copies, and its standard error; see `run`."""
    count = len(images)
    sigma = np.float32(noise) * np.abs(classifier.preprocess.white - classifier.preprocess.black)
    sums, squares, copies = np.zeros(images.shape), np.zeros(images.shape), np.zeros(count, int)
    active = np.arange(count)
    for first in range(0, samples, BLOCK):
        last = min(first + BLOCK, samples)
        # For the progress, images that are finished count with all their copies.
        before = (count - len(active)) * samples + first * len(active)
        report = partial(_report, progress, before, samples * count)
        for batch in batches(classifier, last - first, len(active), report):
            numbers, indices = np.unique(batch.copy), active[batch.image]
            noises = np.stack([copy_noise(images.shape[1:], seed, first + number) for number in numbers])
            noisy = images[indices] + sigma * noises[batch.copy - numbers[0]]
            gradient = classifier.gradient(noisy, [objectives[index] for index in indices]).astype(np.float64)
            sums[active] += batch.sum(gradient)
            squares[active] += batch.sum(gradient**2)
        copies[active] = last
        _, deviation = _moments(sums[active], squares[active], last)
        _, relative = _errors(sums[active] / last, deviation, copies[active])
        active = active[relative > error]
        if not len(active):
            break
    mean, deviation = _moments(sums, squares, copies[:, None, None, None])
    standard, relative = _errors(mean, deviation, copies)
    maps = np.abs(mean).max(axis=-1)
    facts = {
        "logit": [float(value) for value in classifier.values(images, objectives)],
        "peak": [float(each.max()) for each in maps],
        "peak_pixel": peaks(maps),
        "samples": copies.tolist(),
        "standard_error": standard.tolist(),
        "relative_error": relative.tolist(),
        "stopped_by": ["error" if each <= error else "samples" for each in relative],
    }
    arrays = {"gradient": mean, "deviation": deviation, "smoothgrad": maps}
    warnings = () if "samples" not in facts["stopped_by"] or not error else (UNRELIABLE.format(error, samples),)
    return Result({name: array.astype(np.float32) for name, array in arrays.items()}, facts, warnings=warnings)


UNRELIABLE = (
    "For some images, relative_error is still above --error {:g} after {} copies. Use more --samples or less --noise, or "
    "sum the map over regions (redraw --regions)."
)


def _report(progress: Callable[[int, int], None], before: int, total: int, done: int, _: int) -> None:
    progress(before + done, total)


def _moments(
    sums: Float[np.ndarray, "N H W C"], squares: Float[np.ndarray, "N H W C"], copies: int | Int[np.ndarray, "N 1 1 1"]
) -> tuple[Float[np.ndarray, "N H W C"], Float[np.ndarray, "N H W C"]]:
    """The mean gradient and its standard deviation over the copies, from the sums of gradients and of their squares."""
    mean = sums / copies
    # If all copies agree, rounding may make the difference negative.
    return mean, np.sqrt(np.maximum(squares - copies * mean**2, 0) / (copies - 1))


def _errors(
    mean: Float[np.ndarray, "N H W C"], deviation: Float[np.ndarray, "N H W C"], copies: Int[np.ndarray, " N"]
) -> tuple[Float[np.ndarray, " N"], Float[np.ndarray, " N"]]:
    """The standard error of the mean gradient, absolute and relative to it, as root mean squares over the pixels."""
    standard, size = (np.sqrt((each**2).mean(axis=(1, 2, 3))) for each in (deviation, mean))
    standard = standard / np.sqrt(copies)
    return standard, np.divide(standard, size, out=np.zeros_like(standard), where=size > 0)


def copy_noise(shape: tuple[int, ...], seed: int, copy: int) -> Float32[np.ndarray, "H W C"]:
    """Standard normal noise for a copy, the same for all images, so that results do not depend on the rest of the batch."""
    return np.random.default_rng([seed, copy]).standard_normal(shape, np.float32)
