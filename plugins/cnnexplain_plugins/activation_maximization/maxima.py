"""The maxima of units, compared with a data set, noise, an independent network and the other units of the layer."""

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
from cnnexplain_plugins.activation_maximization.spectral import maximize as maximize_spectra
from cnnexplain_plugins.activation_maximization.starts import STARTS, default_checks

if TYPE_CHECKING:
    from jaxtyping import Float32

    from cnnexplain import Classifier, Objective, Stream
    from cnnexplain_plugins.activation_maximization.regularization import Regularization

GROUP = 64
"""The number of units whose spectra are optimized at once; the network sees as many of their views as fit into memory."""


def maxima(
    classifier: Classifier,
    objectives: Sequence[Objective],
    dataset: Stream | None,
    setting: Regularization | Recipe,
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
    """The images that activate units most, and the facts about them; see `run`."""
    judge_classes = None if judge is None else judges.classes(classifier, judge, objectives)
    checks: dict[int, int] = {}
    if isinstance(setting, Recipe):
        size, starts = GROUP, starts or 1
    else:
        # As many units at a time as the weights of their layers fit into memory.
        checks = default_checks(steps) if starts is None else checks
        starts = starts or STARTS
        size = max(1, classifier.batch_size // starts)
    groups = [objectives[first : first + size] for first in range(0, len(objectives), size)]
    batches = 0 if dataset is None else -(-len(dataset) // classifier.batch_size)
    total = steps * len(groups) + batches
    results: list[Maximum] = []
    for number, group in enumerate(groups):

        def group_progress(done: int, _: int, number: int = number) -> None:
            progress(number * steps + done, total)

        options: dict[str, Any] = {"steps": steps, "starts": starts, "seed": seed, "progress": group_progress}
        if isinstance(setting, Recipe):
            results += maximize_spectra(classifier, group, setting, diversity=diversity, opacity=opacity, **options)
        else:
            results += maximize_pixels(classifier, group, setting, checks=checks, **options)
    natural = [Strongest()] * len(objectives)
    if dataset is not None:
        natural = strongest(classifier, objectives, dataset, lambda done: progress(steps * len(groups) + done, total))
    # One entry for each picture.
    units = [objective for objective in objectives for _ in range(diversity)]
    references = [reference for reference in natural for _ in range(diversity)]
    images, shown = (np.stack(arrays) for arrays in zip(*((each.image, each.shown) for each in results), strict=True))
    reached = [_finite(each.value if each.view_value is None else each.view_value) for each in results]
    facts: dict[str, Any] = {
        "unit": [objective.describe(classifier.labels) for objective in units],
        "value": [_finite(each.value) for each in results],
        "view_value": [None if each.view_value is None else _finite(each.view_value) for each in results],
        "best": [reference.best for reference in references],
        "best_image": [reference.image for reference in references],
        "ratio": [
            None if value is None or reference.best is None or reference.best <= 0 else value / reference.best
            for value, reference in zip(reached, references, strict=True)
        ],
        "noise": [_finite(value) for value in scores(classifier, _shuffled(shown, seed), units).diagonal()],
        "strongest": [_is_strongest(classifier, *pair) for pair in zip(units, shown, strict=True)],
        "judge_rank": [None] * len(results),
        "judge_best_rank": [None] * len(results),
        "patch_values": [[patch.value for patch in each.patches] for each in natural],
        "patch_images": [[patch.name for patch in each.patches] for each in natural],
        "judge": None if judge is None else {"name": judge.name, "sha256": judge.sha256},
        "steps": steps,
        "starts": starts,
        "regularization": {"name": name, **asdict(setting)},
        "stopped": [each.stopped for each in results],
    }
    if judge is not None and judge_classes is not None:
        targets = [target for target in judge_classes for _ in range(diversity)]
        decoded = np.clip(classifier.preprocess.decode(images), 0, 1)
        pairs = [judges.ranks(judge, u, target) for u, target in zip(decoded, targets, strict=True)]
        facts["judge_rank"], facts["judge_best_rank"] = (list(column) for column in zip(*pairs, strict=True))
    arrays = {"optimum": images}
    if opacity:
        arrays["opacity"] = np.stack([each.opacity for each in results if each.opacity is not None])
    for unit, reference in enumerate(natural):
        if reference.patches:
            decoded = classifier.preprocess.decode(np.stack([patch.pixels for patch in reference.patches]))
            # Photographs have no more than 256 values, and nine whole ones per unit would take much space as float32.
            arrays[f"patch/{unit}"] = np.round(255 * np.clip(decoded, 0, 1)).astype(np.uint8)
    return Result(arrays, facts, warnings=tuple(_warnings(results, facts)))


def _is_strongest(classifier: Classifier, objective: Objective, image: Float32[np.ndarray, "H W C"]) -> bool | None:
    """Whether no other unit of the layer is as strong for an image as this one; None for a sum of units or a direction.

    A class is compared with the other classes, a feature map with the means of the other maps, a neuron with the others at
    its position.
    """
    if len(objective.terms) > 1 or objective.terms[0][1] < 0 or isinstance(objective.terms[0][0], Direction):
        return None
    ((name, weights),) = objective.seeds(classifier).items()
    weights = weights.reshape(-1, weights.shape[-1])
    output = classifier.activations(image[None], [name])[name].reshape(weights.shape)
    # In the column of the unit, the weights are those of the positions; in the other columns they are 0.
    units = weights.sum(axis=1) @ output
    return int((units >= units[weights.sum(axis=0).argmax()]).sum()) == 1


def _shuffled(images: Float32[np.ndarray, "N H W C"], seed: int) -> Float32[np.ndarray, "N H W C"]:
    """The images with their pixels in random order: noise of the same norm, in the model's input range."""
    pixels = images.reshape(len(images), -1, images.shape[-1])
    return pixels[:, np.random.default_rng(seed).permutation(pixels.shape[1])].reshape(images.shape)


def _warnings(results: Sequence[Maximum], facts: dict[str, Any]) -> Iterator[str]:
    units = facts["unit"]
    for unit, each in zip(units, results, strict=True):
        if each.stopped is not None:
            yield f"The ascent of {unit} ended early: {each.stopped}."
    dead = [unit for unit, each in zip(units, results, strict=True) if not each.moved]
    if dead:
        yield (
            f"No noise activates {', '.join(dead)}: the pictures are meaningless. Unless the units are dead, try another "
            "--seed."
        )
    inactive = [unit for unit, best in zip(units, facts["best"], strict=True) if best is not None and best <= 0]
    if inactive:
        yield f"No image of the data set activates {', '.join(inactive)}: there is no ratio to the best."


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
