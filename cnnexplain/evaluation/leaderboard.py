"""Means over images with bootstrap intervals, and which methods beat the controls."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cnnexplain.evaluation.methods import Kind
from cnnexplain.plugin.metric import Better

if TYPE_CHECKING:
    from jaxtyping import Bool, Float64

RESAMPLES, CONFIDENCE = 2000, 0.95
"""The number of bootstrap samples of the images, and the confidence of the intervals."""

ENOUGH = 10
"""The number of images from which on there are intervals: the bootstrap of fewer is too narrow."""

BLOCK = 100
"""The number of bootstrap samples that are drawn at once."""


@dataclass(frozen=True)
class Standing:
    """A method in the leaderboard of one score.

    Args:
        method: The name of the method.
        kind: Whether it is an analysis, maps from a file, or a control.
        mean: The mean over the images for which the score is defined; NaN if there are none.
        interval: The bootstrap interval of the mean; None if there are too few images.
        images: The number of images for which the score is defined.
        unbeaten: The controls that the method does not beat.
        beaten: The controls that it beats. Controls without a score are neither.
    """

    method: str
    kind: Kind
    mean: float
    interval: tuple[float, float] | None
    images: int
    unbeaten: tuple[str, ...]
    beaten: tuple[str, ...] = ()


def standings(
    names: Sequence[str],
    kinds: Sequence[Kind],
    scores: Float64[np.ndarray, "N M"],
    better: Better,
    seed: int,
    *,
    strata: Sequence[int] = (),
) -> list[Standing]:
    """The leaderboard of a score, the best method first; methods without a score are last.

    A method beats a control if the bootstrap interval of the mean of their differences, image by image, is above 0 (below 0
    if lower scores are better). With too few images for an interval, it is enough that the mean is better.

    Args:
        names: The names of the M methods.
        kinds: Their kinds.
        scores: (N, M); NaN where the score is undefined.
        better: Which values are better.
        seed: The seed of the bootstrap.
        strata: As for `intervals`.
    """
    sign = -1.0 if better == "lower" else 1.0
    controls = [place for place, kind in enumerate(kinds) if kind == "control"]
    gains = [sign * (scores - scores[:, [control]]) for control in controls]
    # All in one call, so that they share the samples of the images.
    means, low, high = (each.reshape(1 + len(controls), -1) for each in intervals(np.hstack([scores, *gains]), seed, strata))
    least = np.where(np.isfinite(low), low, means)[1:]
    counts = np.isfinite(scores).sum(axis=0)
    found = []
    for place, (name, kind) in enumerate(zip(names, kinds, strict=True)):
        compared = kind != "control" and better != "neither"
        pairs = [(names[control], gain) for control, gain in zip(controls, least[:, place], strict=True) if compared]
        # Both are False for the NaN of a control without a score.
        unbeaten = tuple(control for control, gain in pairs if gain <= 0)
        beaten = tuple(control for control, gain in pairs if gain > 0)
        interval = (float(low[0, place]), float(high[0, place])) if math.isfinite(low[0, place]) else None
        found.append(Standing(name, kind, float(means[0, place]), interval, int(counts[place]), unbeaten, beaten))
    return sorted(found, key=lambda each: -sign * each.mean if math.isfinite(each.mean) else math.inf)


def rule(fewest: int, most: int) -> str:
    """When a method beats a control, for the smallest and largest number of images for which both have a score."""
    clear = f"the {CONFIDENCE:.0%} interval of their difference, image by image, excludes 0"
    if most < ENOUGH:
        return f"Fewer than {ENOUGH} images give no interval: a method beats a control if its mean is better."
    if fewest < ENOUGH:
        clear += f"; with fewer than {ENOUGH} images, if its mean is better"
    return f"A method beats a control if {clear}."


def intervals(
    values: Float64[np.ndarray, "N M"], seed: int, strata: Sequence[int] = ()
) -> tuple[Float64[np.ndarray, " M"], Float64[np.ndarray, " M"], Float64[np.ndarray, " M"]]:
    """The means of columns over the rows that are not NaN, and the ends of their percentile bootstrap intervals.

    All columns share the same samples of rows. The ends are NaN for a column with fewer than `ENOUGH` values.

    Args:
        values: (N, M); NaN where a value is missing.
        seed: The seed of the samples.
        strata: The numbers of consecutive rows that are sampled separately, N in all. Empty samples all rows together.
    """
    known: Bool[np.ndarray, "N M"] = np.isfinite(values)
    filled, counts = np.where(known, values, 0), known.sum(axis=0)
    with np.errstate(invalid="ignore"):
        means = filled.sum(axis=0) / counts
    random, rows = np.random.default_rng(seed), len(values)
    samples = []
    if (counts >= ENOUGH).any():
        for _ in range(RESAMPLES // BLOCK):
            drawn = [random.multinomial(size, np.full(size, 1 / size), size=BLOCK) for size in strata or (rows,)]
            weights = np.hstack(drawn).astype(np.float64)
            with np.errstate(invalid="ignore"):
                samples.append((weights @ filled) / (weights @ known))
    ends = np.full((2, values.shape[1]), np.nan)
    enough = counts >= ENOUGH
    if samples:
        tail = (1 - CONFIDENCE) / 2
        ends[:, enough] = np.nanquantile(np.concatenate(samples)[:, enough], [tail, 1 - tail], axis=0)
    return means, ends[0], ends[1]
