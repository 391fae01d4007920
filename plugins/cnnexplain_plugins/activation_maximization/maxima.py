"""The units' maxima, compared with what a data set, noise, an independent network and the other units of the layer reach."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnexplain import Direction
from cnnexplain.plugin import Result
from cnnexplain_plugins.activation_maximization import judge as judges
from cnnexplain_plugins.activation_maximization.maximization import Maximum
from cnnexplain_plugins.activation_maximization.maximization import maximize as maximize_pixels
from cnnexplain_plugins.activation_maximization.patches import Strongest, strongest
from cnnexplain_plugins.activation_maximization.recipes import Recipe
from cnnexplain_plugins.activation_maximization.scores import scores
from cnnexplain_plugins.activation_maximization.spectral import maximize

if TYPE_CHECKING:
    from cnnexplain import Classifier, Floats, Objective, Stream
    from cnnexplain_plugins.activation_maximization.regularization import Regularization

STARTS = 8
"""From how many noises pixels ascend where nothing is said."""

TOGETHER = 64
"""How many units are optimized by their spectrum at once; the network sees as many of their views as fit the memory."""


def maxima(
    classifier: Classifier,
    objectives: Sequence[Objective],
    dataset: Stream | None,
    chosen: Regularization | Recipe,
    progress: Callable[[int, int], None],
    *,
    name: str,
    judge: Classifier | None,
    steps: int,
    starts: int | None,
    diversity: int,
    opacity: bool,
    seed: int,
) -> Result:
    """The images that excite units the most, and the facts about them; see `run`."""
    wanted = None if judge is None else judges.classes(classifier, judge, objectives)
    if isinstance(chosen, Recipe):
        size, starts = TOGETHER, starts or 1
    else:
        # As many units at a time as the weights of their layers fit the memory.
        starts = starts or STARTS
        size = max(1, classifier.batch_size // starts)
    groups = [objectives[first : first + size] for first in range(0, len(objectives), size)]
    batches = 0 if dataset is None else -(-len(dataset) // classifier.batch_size)
    total = steps * len(groups) + batches
    found: list[Maximum] = []
    for number, group in enumerate(groups):

        def within(done: int, _: int, number: int = number) -> None:
            progress(number * steps + done, total)

        given: dict[str, Any] = {"steps": steps, "starts": starts, "seed": seed, "progress": within}
        if isinstance(chosen, Recipe):
            found += maximize(classifier, group, chosen, diversity=diversity, opacity=opacity, **given)
        else:
            found += maximize_pixels(classifier, group, chosen, **given)
    natural = [Strongest()] * len(objectives)
    if dataset is not None:
        natural = strongest(classifier, objectives, dataset, lambda done: progress(steps * len(groups) + done, total))
    each = [objective for objective in objectives for _ in range(diversity)]
    most = [one for one in natural for _ in range(diversity)]
    images, shown = (np.stack(arrays) for arrays in zip(*((one.image, one.shown) for one in found), strict=True))
    reached = [_finite(one.value if one.view_value is None else one.view_value) for one in found]
    facts: dict[str, Any] = {
        "unit": [objective.describe(classifier.labels) for objective in each],
        "value": [_finite(one.value) for one in found],
        "view_value": [None if one.view_value is None else _finite(one.view_value) for one in found],
        "best": [one.best for one in most],
        "best_image": [one.image for one in most],
        "ratio": [
            None if value is None or one.best is None or one.best <= 0 else value / one.best
            for value, one in zip(reached, most, strict=True)
        ],
        "noise": [_finite(value) for value in scores(classifier, _shuffled(shown, seed), each).diagonal()],
        "strongest": [_strongest(classifier, *pair) for pair in zip(each, shown, strict=True)],
        "judge_rank": [None] * len(found),
        "judge_best_rank": [None] * len(found),
        "patch_values": [[patch.value for patch in one.patches] for one in natural],
        "patch_images": [[patch.name for patch in one.patches] for one in natural],
        "judge": None if judge is None else {"name": judge.name, "sha256": judge.sha256},
        "steps": steps,
        "starts": starts,
        "regularization": {"name": name, **asdict(chosen)},
        "stopped": [one.stopped for one in found],
    }
    if judge is not None and wanted is not None:
        places = [place for place in wanted for _ in range(diversity)]
        decoded = np.clip(classifier.preprocess.decode(images), 0, 1)
        pairs = [judges.ranks(judge, u, place) for u, place in zip(decoded, places, strict=True)]
        facts["judge_rank"], facts["judge_best_rank"] = (list(column) for column in zip(*pairs, strict=True))
    arrays = {"optimum": images}
    if opacity:
        arrays["opacity"] = np.stack([one.opacity for one in found if one.opacity is not None])
    for unit, one in enumerate(natural):
        if one.patches:
            decoded = classifier.preprocess.decode(np.stack([patch.pixels for patch in one.patches]))
            # Photographs have no more than 256 values, and nine whole ones of each unit are many numbers.
            arrays[f"patch/{unit}"] = np.round(255 * np.clip(decoded, 0, 1)).astype(np.uint8)
    return Result(arrays, facts, warnings=tuple(_warnings(found, facts)))


def _strongest(classifier: Classifier, objective: Objective, image: Floats) -> bool | None:
    """Whether no other unit of the layer is as strong there as this one; None for a sum of units or a direction.

    A class is compared with the other classes, a feature map with the other maps' means, a neuron with the others at its
    place.
    """
    if len(objective.terms) > 1 or objective.terms[0][1] < 0 or isinstance(objective.terms[0][0], Direction):
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
