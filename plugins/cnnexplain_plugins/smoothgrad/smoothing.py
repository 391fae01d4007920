"""The computation of SmoothGrad (Smilkov et al. 2017, arXiv:1706.03825, section 2)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnexplain.numerics import Copies, channel_maxima, peaks, prefetched, relative_error
from cnnexplain.plugin import NOISE_LIMIT, Result

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
    deviations = np.broadcast_to(sigma, (count, 1, 1, images.shape[-1]))
    sums, squares, copies = np.zeros(images.shape), np.zeros(images.shape), np.zeros(count, int)
    active = np.arange(count)
    with prefetched(partial(_noises, images.shape[1:], seed), samples) as noises:
        step = BLOCK if error else samples
        for first in range(0, samples, step):
            last = min(first + step, samples)
            # For the progress, images that are finished count with all their copies.
            before = (count - len(active)) * samples + first * len(active)
            block = Copies(noisy, last - first, partial(_later, noises, first), [deviations[active]])
            gradients, squared = classifier.gradient_sums(
                images[active],
                [objectives[index] for index in active],
                block,
                progress=partial(_report, progress, before, samples * count),
            )
            sums[active] += gradients
            squares[active] += squared
            copies[active] = last
            _, deviation = _moments(sums[active], squares[active], last)
            relative = relative_error(deviation / np.sqrt(last), sums[active] / last)
            active = active[relative > error]
            if not len(active):
                break
    mean, deviation = _moments(sums, squares, copies[:, None, None, None])
    standard = deviation / np.sqrt(copies)[:, None, None, None]
    relative = relative_error(standard, mean)
    maps = channel_maxima(mean)
    facts = {
        "logit": [float(value) for value in classifier.values(images, objectives)],
        "peak": [float(each.max()) for each in maps],
        "peak_pixel": peaks(maps),
        "samples": copies.tolist(),
        "standard_error": np.sqrt((standard**2).mean(axis=(1, 2, 3))).tolist(),
        "relative_error": relative.tolist(),
        "stopped_by": ["error" if each <= error else "samples" for each in relative],
    }
    arrays = {"gradient": mean, "deviation": deviation, "smoothgrad": maps}
    # There is a general warning about maps of which more than half is noise.
    doubtful = bool(error and ((relative > error) & (relative <= NOISE_LIMIT)).any())
    warnings = (UNRELIABLE.format(error, samples),) if doubtful else ()
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


def noisy(image: Any, deviation: Any, noise: Any) -> Any:
    """A copy of an image with noise."""
    return image + deviation * noise


def _later(
    noises: Callable[[range], Sequence[Float32[np.ndarray, "n H W C"]]], first: int, part: range
) -> Sequence[Float32[np.ndarray, "n H W C"]]:
    """The noise for a part of the copies that begin with the copy `first`."""
    return noises(range(first + part.start, first + part.stop))


def _noises(shape: tuple[int, ...], seed: int, part: range) -> list[Float32[np.ndarray, "n H W C"]]:
    """The noise of copies, the only parameter of `noisy`."""
    return [np.stack([copy_noise(shape, seed, copy) for copy in part])]


def copy_noise(shape: tuple[int, ...], seed: int, copy: int) -> Float32[np.ndarray, "H W C"]:
    """Standard normal noise for a copy, the same for all images, so that results do not depend on the rest of the batch."""
    return np.random.default_rng([seed, copy]).standard_normal(shape, np.float32)
