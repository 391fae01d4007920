"""The evidence of class activation maps without gradients: from scores for changed feature maps, or masked images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cnnexplain import Logit, checks
from cnnexplain.plugin import Measurement, Subject

if TYPE_CHECKING:
    from jaxtyping import Float, Float64

    from cnnexplain import Layer

POSITIONS, STRONGEST, MAPS = 12, 6, 64
"""The number of random positions, and of those with the largest evidence; and the number of feature maps up to which each of
them is changed on its own."""


def measure(subject: Subject) -> Measurement:
    """The error of the evidence at some positions, relative to the evidence there."""
    method, layer = subject.options["method"], subject.classifier.layer(subject.fact("layer"))
    if layer.grid is not None:
        return Measurement(None, detail="tokens have no feature maps whose positions could be changed alike")
    if method == "gradcam":
        return _mean_weights(subject, layer)
    if layer.shape[-1] > MAPS:
        return Measurement(None, detail=f"left out: the layer has more than {MAPS} feature maps to change one by one")
    if method == "layercam":
        return _weights_of_positions(subject, layer)
    if method == "scorecam":
        return _weights_of_masks(subject, layer)
    return Measurement(None, detail="its closed form needs the gradient at every unit")


def _mean_weights(subject: Subject, layer: Layer) -> Measurement:
    """Grad-CAM: Σ_k w_k A_k(p), with w_k the mean of the gradient, is a single slope.

    It is the slope of the score along the direction that has A_k(p) at all positions of map k, divided by their number.
    """
    maps = _outputs(subject, layer)
    rows, columns = (subject.random.integers(0, side, POSITIONS) for side in maps.shape[:2])
    directions = np.broadcast_to(maps[rows, columns][:, None, None], (POSITIONS, *maps.shape))
    measured = checks.slopes(_function(subject, layer), maps, directions)
    places = maps.shape[0] * maps.shape[1]
    scaled = checks.Slopes(measured.values / places, measured.doubts / places)
    return checks.slope_measurement(subject.array("evidence")[rows, columns].astype(np.float64), scaled, "positions")


def _weights_of_positions(subject: Subject, layer: Layer) -> Measurement:
    """Layer-CAM: Σ_k max(g_k(p), 0) A_k(p) at the positions with the largest evidence."""
    maps, evidence = _outputs(subject, layer), subject.array("evidence")
    strongest = np.argsort(-evidence, axis=None, kind="stable")[:STRONGEST]
    totals, doubts = [], []
    for row, column in zip(*np.unravel_index(strongest, evidence.shape), strict=True):
        (active,) = np.nonzero(maps[row, column])
        directions = np.zeros((len(active), *maps.shape))
        directions[np.arange(len(active)), row, column, active] = maps[row, column, active]
        measured = checks.slopes(_function(subject, layer), maps, directions)
        # The slope along A_k(p) is g_k(p) A_k(p), which counts if g_k(p) is positive.
        totals.append(np.where(measured.values / maps[row, column, active] > 0, measured.values, 0).sum())
        doubts.append(np.sqrt((measured.doubts**2).sum()))
    found = evidence.ravel()[strongest].astype(np.float64)
    return checks.slope_measurement(found, checks.Slopes(np.array(totals), np.array(doubts)), "positions")


def _weights_of_masks(subject: Subject, layer: Layer) -> Measurement:
    """Score-CAM: the weights from images behind each map, enlarged and scaled to [0, 1]."""
    classifier, image, maps = subject.classifier, subject.image[0], _outputs(subject, layer).astype(np.float64)
    objective = subject.objective
    assert isinstance(objective, Logit)
    target = classifier.target(objective.target)
    predict = classifier.logits if classifier.head == "values" else classifier.predict
    blank, evidence = predict(np.zeros_like(subject.image))[0, target], np.zeros(maps.shape[:2])
    for number in range(maps.shape[-1]):
        mask = _enlarged(maps[..., number], *image.shape[:2])
        if mask.max() == mask.min():
            continue
        shown = (mask - mask.min()) / (mask.max() - mask.min())
        weight = predict((shown[..., None] * image)[None].astype(np.float32))[0, target] - blank
        evidence += weight * maps[..., number]
    return Measurement(checks.difference(subject.array("evidence"), evidence), checks.ROUNDING, "all positions")


def _outputs(subject: Subject, layer: Layer) -> Float[np.ndarray, "h w F"]:
    return np.asarray(subject.classifier.activations(subject.image, [layer.name])[layer.name][0])


def _function(subject: Subject, layer: Layer) -> checks.Function:
    assert subject.objective is not None
    return checks.tail_scores(subject.classifier, subject.image, layer.name, subject.objective)


def _enlarged(values: Float64[np.ndarray, "h w"], height: int, width: int) -> Float64[np.ndarray, "{height} {width}"]:
    """Linear interpolation between the centers of the positions, first along the columns, then along the rows."""
    rows, columns = (
        (np.arange(side) + 0.5) * old / side - 0.5 for side, old in zip((height, width), values.shape, strict=True)
    )
    tall = np.stack([np.interp(rows, np.arange(len(values)), each) for each in values.T], axis=1)
    return np.stack([np.interp(columns, np.arange(values.shape[1]), each) for each in tall])
