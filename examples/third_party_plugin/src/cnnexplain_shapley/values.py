"""Shapley values of the squares of an image, from random orders (Castro et al. 2009, Štrumbelj & Kononenko 2014)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from cnnexplain.errors import UsageError
from cnnexplain.plugin import Result

if TYPE_CHECKING:
    from cnnexplain import Array, Classifier, Floats, Integers


def shapley(
    classifier: Classifier,
    images: Floats,
    targets: Integers,
    progress: Callable[[int, int], None],
    *,
    squares: int,
    permutations: int,
    fill: str,
    seed: int,
) -> Result:
    """The values, their standard errors and the map for each image; see `cnnexplain_shapley.run`."""
    height, width = images.shape[1:3]
    rows, columns, players = grid(height, width, squares)
    count = rows * columns
    random = np.random.default_rng(seed)
    # All images get the same orders, so that a result does not depend on the other images.
    orders = [random.permutation(count) for _ in range(permutations)]
    pairs = np.zeros((len(images), permutations, count))
    ends = np.zeros((len(images), 2))
    for number, (image, target) in enumerate(zip(images, targets, strict=True)):
        filled = _filled(image, fill, classifier)
        for place, order in enumerate(orders):
            for path in (order, order[::-1]):
                scores = _scores(classifier, image, filled, target, players, path)
                pairs[number, place, path] += np.diff(scores) / 2
                ends[number] = scores[[0, -1]]
            progress(number * permutations + place + 1, len(images) * permutations)
    values = pairs.mean(axis=1)
    facts = {
        "logit": [float(end) for end in ends[:, 1]],
        "filled_logit": [float(end) for end in ends[:, 0]],
        "sum": [float(each.sum()) for each in values],
        "rows": [rows] * len(images),
        "columns": [columns] * len(images),
    }
    errors = pairs.std(axis=1, ddof=1) / np.sqrt(permutations)
    return Result({"value": values, "error": errors, "shapley": values[:, players]}, facts)


def grid(height: int, width: int, squares: int) -> tuple[int, int, Array]:
    """The numbers of rows and columns of squares, and the index of the square of each pixel, (H, W).

    Raises:
        UsageError: There are more squares than pixels along the shorter side.
    """
    shorter = min(height, width)
    if squares > shorter:
        raise UsageError(f"--squares must be at most the shorter side of the image, {shorter} pixels, but got {squares}.")
    rows, columns = (round(side * squares / shorter) for side in (height, width))
    down, across = np.arange(height) * rows // height, np.arange(width) * columns // width
    return rows, columns, down[:, None] * columns + across


def _filled(image: Floats, fill: str, classifier: Classifier) -> Floats:
    """An image (H, W, C) in which all squares are filled."""
    preprocess = classifier.preprocess
    colors = {
        "black": preprocess.black,
        "gray": preprocess.gray,
        "white": preprocess.white,
        "mean": image.mean(axis=(0, 1)),
    }
    return np.full_like(image, colors[fill])


def _scores(classifier: Classifier, image: Floats, filled: Floats, target: int, players: Array, order: Array) -> Floats:
    """The scores (P + 1,) of the target while the squares are revealed one after another, from none to all."""
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    visible = rank[players] < np.arange(len(order) + 1)[:, None, None]
    return classifier.logits(np.where(visible[..., None], image, filled))[:, target].astype(np.float64)
