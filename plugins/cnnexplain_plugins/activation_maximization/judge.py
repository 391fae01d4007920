"""The rank of the target class of a picture in the prediction of an independent network, the judge."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from cnnexplain import Logit
from cnnexplain.errors import UsageError, suggest
from cnnexplain.numerics import LUMA, resize

if TYPE_CHECKING:
    from jaxtyping import Float, Float32

    from cnnexplain import Classifier, Objective

SHARE, CROPS = 0.5, 3
"""The side of a crop as a share of the picture's, and the number of evenly spaced crops along each side."""


def classes(classifier: Classifier, judge: Classifier, objectives: Sequence[Objective]) -> list[int]:
    """The judge's class with the same label as the class of each objective.

    Raises:
        UsageError: An objective is not a class, or the judge has no class with that label.
    """
    if classifier.preprocess.bands is not None or judge.preprocess.bands is not None:
        raise UsageError("--judge is for pictures in gray or color; leave it out for a model with bands.")
    for each in (classifier, judge):
        if each.head == "values":
            raise UsageError(f"--judge ranks classes, but '{each.name}' returns values; leave it out.")
    classes = []
    for objective in objectives:
        if not isinstance(objective, Logit):
            raise UsageError(f"--judge ranks classes, but '{objective}' is not a class; leave it out, or set --target.")
        label = classifier.labels[classifier.target(objective.target)]
        if label not in judge.labels:
            raise UsageError(
                f"The judge '{judge.name}' has no class '{label}'.{suggest(label, judge.labels)} "
                "Name a model with the same labels."
            )
        classes.append(judge.labels.index(label))
    return classes


def ranks(judge: Classifier, u: Float[np.ndarray, "H W C"], target: int) -> tuple[int, int]:
    """The rank of a class for the whole picture, and its best rank over the picture and its crops; 1 is the prediction.

    Args:
        judge: The network.
        u: The picture, from 0 to 1, in RGB order.
        target: The class.
    """
    logits = judge.logits(np.stack([_encode(judge, part) for part in _parts(u)]))
    # Classes with the same score do not lower the rank.
    above = (logits > logits[:, target, None]).sum(axis=1) + 1
    return int(above[0]), int(above.min())


def _parts(u: Float[np.ndarray, "H W C"]) -> Iterator[Float[np.ndarray, "h w C"]]:
    """The whole picture, and its crops."""
    yield u
    rows, columns = (max(1, round(SHARE * side)) for side in u.shape[:2])
    for top in np.linspace(0, u.shape[0] - rows, CROPS).round().astype(int):
        for left in np.linspace(0, u.shape[1] - columns, CROPS).round().astype(int):
            yield u[top : top + rows, left : left + columns]


def _encode(judge: Classifier, u: Float[np.ndarray, "H W C"]) -> Float32[np.ndarray, "h w channels"]:
    """A picture as input of the judge."""
    preprocess = judge.preprocess
    if preprocess.channels == 1 and u.shape[-1] == 3:
        u = (u @ LUMA)[..., None]
    picture = resize(np.broadcast_to(u, (*u.shape[:2], preprocess.channels)), preprocess.height, preprocess.width)
    return preprocess.encode(picture)
