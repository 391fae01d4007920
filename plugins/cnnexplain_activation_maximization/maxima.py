"""The units' maxima, held against what a data set, noise and the other units of the layer reach."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnexplain.plugin import Result
from cnnexplain_activation_maximization.maximization import Maximum, maximise
from cnnexplain_activation_maximization.scores import scores

if TYPE_CHECKING:
    from cnnexplain.arrays import Floats
    from cnnexplain.classifier import Classifier
    from cnnexplain.objectives import Objective
    from cnnexplain.stream import Stream
    from cnnexplain_activation_maximization.regularization import Regularization


def maxima(
    classifier: Classifier,
    objectives: Sequence[Objective],
    dataset: Stream | None,
    regularization: Regularization,
    progress: Callable[[int, int], None],
    *,
    steps: int,
    starts: int,
    seed: int,
) -> Result:
    """The images that excite units the most, and the facts about them; see `cnnexplain_activation_maximization.run`."""
    # As many units at a time as the weights of their layers fit the memory.
    size = max(1, classifier.batch_size // starts)
    groups = [objectives[first : first + size] for first in range(0, len(objectives), size)]
    batches = 0 if dataset is None else -(-len(dataset) // classifier.batch_size)
    total = steps * len(groups) + batches
    found: list[Maximum] = []
    for number, group in enumerate(groups):

        def within(done: int, _: int, number: int = number) -> None:
            progress(number * steps + done, total)

        found += maximise(classifier, group, regularization, steps=steps, starts=starts, seed=seed, progress=within)
    images = np.stack([each.image for each in found])
    values = [_finite(each.value) for each in found]
    best: list[tuple[float | None, str | None]] = [(None, None)] * len(objectives)
    if dataset is not None:
        best = _best(classifier, objectives, dataset, lambda done: progress(steps * len(groups) + done, total))
    facts: dict[str, Any] = {
        "unit": [objective.describe(classifier.labels) for objective in objectives],
        "value": values,
        "best": [most for most, _ in best],
        "best_image": [name for _, name in best],
        "ratio": [
            None if value is None or most is None or most <= 0 else value / most
            for value, (most, _) in zip(values, best, strict=True)
        ],
        "noise": [_finite(value) for value in scores(classifier, _shuffled(images, seed), objectives).diagonal()],
        "strongest": [_strongest(classifier, *pair) for pair in zip(objectives, images, strict=True)],
        "steps": steps,
        "regularization": asdict(regularization),
        "stopped": [each.stopped for each in found],
    }
    return Result({"optimum": images}, facts, warnings=tuple(_warnings(found, facts)))


def _best(
    classifier: Classifier, objectives: Sequence[Objective], dataset: Stream, report: Callable[[int], None]
) -> list[tuple[float | None, str | None]]:
    """For each objective its highest value over the data set, and the name of the image."""
    best: list[tuple[float | None, str | None]] = [(None, None)] * len(objectives)
    for number, (_, batch) in enumerate(dataset.batches(), start=1):
        values = scores(classifier, np.asarray(batch), objectives)
        places = np.where(np.isfinite(values), values, -np.inf).argmax(axis=0)
        for unit, place in enumerate(places):
            value, most = _finite(values[place, unit]), best[unit][0]
            if value is not None and (most is None or value > most):
                best[unit] = (value, batch.sources[place].name)
        report(number)
    return best


def _strongest(classifier: Classifier, objective: Objective, image: Floats) -> bool | None:
    """Whether no other unit of the layer is as strong there as this one; None for a sum of units.

    A class is compared with the other classes, a feature map with the other maps' means, a neuron with the others at its
    place.
    """
    if len(objective.terms) > 1 or objective.terms[0][1] < 0:
        return None
    ((name, seed),) = objective.seeds(classifier).items()
    seed = seed.reshape(-1, seed.shape[-1])
    output = classifier.activations(image[None], [name])[name].reshape(seed.shape)
    # The seed is the weights of the places in the unit's own column, and 0 in the others.
    units = seed.sum(axis=1) @ output
    return int((units >= units[seed.sum(axis=0).argmax()]).sum()) == 1


def _shuffled(images: Floats, seed: int) -> Floats:
    """The images with their pixels in random order: noise of the same norm, in the model's input range."""
    pixels = images.reshape(len(images), -1, images.shape[-1])
    return pixels[:, np.random.default_rng(seed).permutation(pixels.shape[1])].reshape(images.shape)


def _warnings(found: Sequence[Maximum], facts: dict[str, Any]) -> Iterator[str]:
    units = facts["unit"]
    for unit, each in zip(units, found, strict=True):
        if each.stopped is not None:
            yield f"The ascent of {unit} ended early: {each.stopped}."
    dead = [unit for unit, each in zip(units, found, strict=True) if not each.moved]
    if dead:
        yield f"No noise excites {', '.join(dead)}: the pictures mean nothing. Try another --seed, if the units aren't dead."
    unmatched = [unit for unit, most in zip(units, facts["best"], strict=True) if most is not None and most <= 0]
    if unmatched:
        yield f"No image of the data set excites {', '.join(unmatched)}: there is no ratio to the best."


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
