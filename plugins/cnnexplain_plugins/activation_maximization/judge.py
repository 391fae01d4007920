"""What an independent network makes of the pictures: the rank of their class there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from cnnexplain import Logit
from cnnexplain.errors import UsageError, suggest
from cnnexplain.numerics import LUMA, resize

if TYPE_CHECKING:
    from cnnexplain import Classifier, Floats, Objective

SHARE, PLACES = 0.5, 3
"""The side of a crop as a share of the picture's, and how many crops lie along each side, evenly."""


def classes(classifier: Classifier, judge: Classifier, objectives: Sequence[Objective]) -> list[int]:
    """The judge's class with the label of each objective's class.

    Raises:
        UsageError: An objective is no class, or the judge has none of that label.
    """
    if classifier.preprocess.bands is not None or judge.preprocess.bands is not None:
        raise UsageError("--judge shows pictures in gray or color to another network; leave it out for a model of bands.")
    for each in (classifier, judge):
        if each.head == "values":
            raise UsageError(f"--judge ranks classes, but '{each.name}' returns values; leave it out.")
    found = []
    for objective in objectives:
        if not isinstance(objective, Logit):
            raise UsageError(f"--judge ranks classes, but '{objective}' is none; leave it out, or give --target.")
        label = classifier.labels[classifier.target(objective.target)]
        if label not in judge.labels:
            raise UsageError(
                f"The judge '{judge.name}' has no class '{label}'.{suggest(label, judge.labels)} "
                "Name a model with the same labels."
            )
        found.append(judge.labels.index(label))
    return found


def ranks(judge: Classifier, u: Floats, wanted: int) -> tuple[int, int]:
    """The rank of a class for the whole picture, and its best rank over the picture and crops of it; 1 is the prediction.

    Args:
        judge: The network.
        u: (H, W, C), the picture from 0 to 1, red before blue.
        wanted: Its class.
    """
    shown = np.stack([_shown(judge, part) for part in _parts(u)])
    logits = judge.logits(shown)
    # A class of the same score does not stand before it.
    above = (logits > logits[:, wanted, None]).sum(axis=1) + 1
    return int(above[0]), int(above.min())


def _parts(u: Floats) -> Iterator[Floats]:
    """The whole picture, and its crops."""
    yield u
    rows, columns = (max(1, round(SHARE * side)) for side in u.shape[:2])
    for top in np.linspace(0, u.shape[0] - rows, PLACES).round().astype(int):
        for left in np.linspace(0, u.shape[1] - columns, PLACES).round().astype(int):
            yield u[top : top + rows, left : left + columns]


def _shown(judge: Classifier, u: Floats) -> Floats:
    """The whole of a picture as the judge's input."""
    preprocess = judge.preprocess
    if preprocess.channels == 1 and u.shape[-1] == 3:
        u = (u @ LUMA)[..., None]
    picture = resize(np.broadcast_to(u, (*u.shape[:2], preprocess.channels)), preprocess.height, preprocess.width)
    return preprocess.encode(picture)
