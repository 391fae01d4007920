"""Checks that every analysis must pass: the same numbers again, in any batch, with other seeds and with invisible noise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnexplain.checks import ROUNDING
from cnnexplain.checks.costs import affordable, cheap_options, too_expensive
from cnnexplain.checks.numbers import difference, root_mean_square, within_range
from cnnexplain.plugin.check import Check, Measurement, Subject
from cnnexplain.plugin.sampling import NOISE_LIMIT
from cnnexplain.results.record import Record
from cnnexplain.results.verification import CONSTANT

if TYPE_CHECKING:
    from jaxtyping import Float


SEEDS = 3
"""The number of other seeds."""

INVISIBLE, REACTION = 1 / 510, 1.0
"""Noise of up to half a gray level, as a share of the input range; and the largest change of a map for it, as a share of the
map's contrast: at 1 it changes as much as it varies. Gradients of deep networks with kinks reach a half."""


def checks() -> tuple[Check, ...]:
    """The checks."""
    return (
        Check(
            "repeat",
            "A second run with the same options and seed gives the numbers of the result.",
            _repeat,
        ),
        Check(
            "batch",
            "The numbers of the image are the same if other images are explained with it.",
            _batch,
        ),
        Check(
            "seeds",
            "Runs with other seeds give the same picture: the random part of the map is smaller than what the picture "
            "shows.",
            _seeds,
        ),
        Check(
            "input noise",
            "Invisible noise of half a gray level changes the map less than the map varies.",
            _input_noise,
        ),
    )


def main_map(record: Record, index: int = 0) -> Float[np.ndarray, "H W"] | None:
    """The main map of an image in double precision; None if the analysis has none."""
    name = next((name for name in record.analysis.maps if name in record.arrays), None)
    return None if name is None else np.asarray(record.arrays[name][index], np.float64)


def constant_map(subject: Subject) -> str:
    """Why a map has nothing to compare: it is constant, as that of a network of zeros is; "" if it varies."""
    own = main_map(subject.record, subject.index)
    return CONSTANT if own is not None and np.ptp(own) == 0 else ""


def with_seed(record: Record) -> bool:
    """Whether the analysis draws random numbers: it has an option `seed`, as is the convention."""
    return "seed" in record.options


def _repeat(subject: Subject) -> Measurement:
    record, options = subject.record, cheap_options(subject, 1)
    # Every run here replaces the data set and explains the default targets of the model, so that the arrays of an analysis
    # without images may differ from the record's.
    overview = "images" not in record.analysis.inputs and bool({"dataset", "objectives"} & set(record.analysis.inputs))
    if options or overview:
        # `explain` would return the same record twice.
        second = subject.rerun(record, subject.image, subject.classifier, subject.objective, options)
        runs = _compared(second, 0, subject.explain(**options), 0, f"between two new runs{_with(options)}")
        agree = f"two new runs{_with(options)} agree; {too_expensive(subject, 1)}"
        return runs if overview or not runs.passed else Measurement(None, detail=f"the result was not recomputed: {agree}")
    alone = _compared(subject.explain(), 0, record, subject.index, "")
    if alone.passed or len(record) == 1:
        return alone
    # Rounding differs between batches, and many steps of an optimization amplify it: only the same batch decides.
    if not affordable(subject, len(record)):
        reason = f"the image alone gives other numbers, which the batch may explain; {too_expensive(subject, len(record))}"
        return Measurement(None, detail=reason)
    return _compared(subject.explain(record.images), subject.index, record, subject.index, "in the same batch")


def _batch(subject: Subject) -> Measurement:
    if "images" not in subject.record.analysis.inputs:
        return Measurement(None, detail="the analysis takes no images")
    # Many steps of an optimization would amplify the rounding error, which differs between batches.
    options = subject.record.analysis.trial
    image = subject.image
    noise = subject.classifier.preprocess.between(subject.random.uniform(size=image.shape))
    alone = subject.explain(**options)
    together = subject.explain(np.concatenate([noise, image, image[:, ::-1, ::-1]]), **options)
    return _compared(together, 1, alone, 0, f"between two other images{_with(options)}")


def _with(options: Mapping[str, Any]) -> str:
    named = ", ".join(f"{name}={value!r}" for name, value in options.items())
    return f" (with {named})" if named else ""


def _compared(record: Record, index: int, expected: Record, place: int, detail: str) -> Measurement:
    """The largest relative difference between the arrays of two records, for an image of each."""
    per_image = "images" in expected.analysis.inputs
    worst, name = 0.0, ""
    for key, array in expected.arrays.items():
        # The arrays of an overview depend on the data set.
        if key not in record.arrays or (per_image and (len(array), len(record.arrays[key])) != (len(expected), len(record))):
            continue
        values, reference = (record.arrays[key][index], array[place]) if per_image else (record.arrays[key], array)
        error = difference(values, reference) if np.shape(values) == np.shape(reference) else float("inf")
        if not error <= worst:
            worst, name = error, key
        if worst != worst:
            break
    found = f"the largest difference is in '{name}'" if name else "no number differs"
    return Measurement(worst, ROUNDING, f"{found}{detail if detail.startswith(' ') else detail and f', {detail}'}")


def _seeds(subject: Subject) -> Measurement:
    record, own = subject.record, main_map(subject.record, subject.index)
    if not with_seed(record):
        return Measurement(None, detail="the analysis draws no random numbers")
    if own is None:
        return Measurement(None, detail="the analysis has no map")
    runs = next((count for count in (SEEDS, 1) if affordable(subject, count)), 0)
    if not runs:
        return Measurement(None, detail=too_expensive(subject, 1))
    seed = int(record.options["seed"])
    others = [main_map(subject.explain(seed=seed + 1 + number)) for number in range(runs)]
    maps = np.stack([own, *(each for each in others if each is not None)])
    noise, contrast = float(np.sqrt(maps.var(axis=0, ddof=1).mean())), float(np.mean([each.std() for each in maps]))
    value = noise / contrast if contrast else (0.0 if noise == 0 else float("inf"))
    return Measurement(value, NOISE_LIMIT, f"noise {noise:.2g}, contrast of the map {contrast:.2g}, {len(maps)} seeds")


def _input_noise(subject: Subject) -> Measurement:
    own = main_map(subject.record, subject.index)
    if own is None or constant_map(subject):
        return Measurement(None, detail=constant_map(subject) or "the analysis has no map")
    options = cheap_options(subject, 1)
    preprocess = subject.classifier.preprocess
    noise = subject.random.uniform(-INVISIBLE, INVISIBLE, subject.image.shape) * (preprocess.white - preprocess.black)
    noisy = within_range(subject.image + noise, subject.image, preprocess)
    first = main_map(subject.explain(**options)) if options else own
    second = main_map(subject.explain(noisy, **options))
    assert first is not None
    assert second is not None
    change, contrast = root_mean_square(second - first), float(first.std())
    value = change / contrast if contrast else (0.0 if change == 0 else float("inf"))
    return Measurement(value, REACTION, f"change {change:.2g}, contrast of the map {contrast:.2g}{_with(options)}")
