"""Class activation maps by other means: the evidence from scores for changed feature maps or masked images, and the maps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from cnnexplain import Logit, checks
from cnnexplain.plugin import Measurement, Subject

if TYPE_CHECKING:
    from jaxtyping import Float, Float32, Float64, Int64

    from cnnexplain import Layer

POSITIONS, DIRECTIONS, LEAN = 12, 12, 3
"""The number of positions, half of which have the largest evidence; the number of random directions in which a gradient is
tested; and the slope along their component in the direction of the gradient, relative to that along their noise."""


def evidence(subject: Subject) -> Measurement:
    """The error of the evidence, relative to the evidence."""
    method, layer = subject.options["method"], subject.classifier.layer(subject.fact("layer"))
    if method != "scorecam" and checks.rounding(subject.classifier) > checks.ROUNDING:
        return Measurement(None, detail="in half precision, rounding hides small changes of feature maps")
    return METHODS[method](subject, layer)


def maps(subject: Subject) -> Measurement:
    """The largest difference of `cam` and `map` from the positive evidence and its enlargement, relative to their maxima."""
    positive = np.where(subject.array("evidence") > 0, subject.array("evidence"), 0).astype(np.float64)
    enlarged = _enlarged(positive, *subject.image.shape[1:3])
    worst = max(checks.difference(subject.array("cam"), positive), checks.difference(subject.array("map"), enlarged))
    return Measurement(worst, checks.ROUNDING, "all positions and pixels")


def _mean_weights(subject: Subject, layer: Layer) -> Measurement:
    """Grad-CAM: Σ_k w_k A_k(p), with w_k the mean of the gradient, is a single slope.

    It is the slope of the score along the direction that has A_k(p) at all positions of map k, divided by their number.
    """
    found = _outputs(subject, layer)
    rows, columns = _positions(subject)
    measured = _slopes(subject, layer, np.broadcast_to(found[rows, columns][:, None, None], (len(rows), *found.shape)))
    places = found.shape[0] * found.shape[1]
    scaled = checks.Slopes(measured.values / places, measured.doubts / places)
    return checks.slope_measurement(subject.array("evidence")[rows, columns].astype(np.float64), scaled, "positions")


def _weights_of_positions(subject: Subject, layer: Layer) -> Measurement:
    """Layer-CAM: Σ_k max(g_k(p), 0) A_k(p) is the slope along the A_k(p) of the maps whose gradient at p is positive.

    Central differences confirm the gradient first, because its signs choose the directions.
    """
    found = _outputs(subject, layer)
    gradient, confirmed = _confirmed_gradient(subject, layer, found)
    if not confirmed.passed:
        return confirmed
    rows, columns = _positions(subject)
    directions = np.zeros((len(rows), *found.shape))
    directions[np.arange(len(rows)), rows, columns] = np.where(gradient > 0, found, 0)[rows, columns]
    values = subject.array("evidence")[rows, columns].astype(np.float64)
    return checks.slope_measurement(values, _slopes(subject, layer, directions), "positions")


def _closed_form(subject: Subject, layer: Layer) -> Measurement:
    """Grad-CAM++: equations 18 and 19 of the paper, map by map, for a gradient that central differences confirm."""
    found = _outputs(subject, layer)
    gradient, confirmed = _confirmed_gradient(subject, layer, found)
    if not confirmed.passed:
        return confirmed
    expected = np.zeros(found.shape[:2])
    for a, g in zip(np.moveaxis(found, -1, 0), np.moveaxis(gradient, -1, 0), strict=True):
        # With the score exp(S), the derivatives of the orders 1, 2 and 3 are g, g² and g³ times exp(S).
        denominators = 2 * g**2 + a.sum() * g**3
        defined = (g > 0) & (denominators > 0)
        weight = (g[defined] ** 2 / denominators[defined] * g[defined]).sum()
        expected += weight * a
    detail = f"all positions; the gradient differs by {confirmed.value:.2g} from central differences"
    return Measurement(checks.difference(subject.array("evidence"), expected), checks.ROUNDING, detail)


def _weights_of_masks(subject: Subject, layer: Layer) -> Measurement:
    """Score-CAM: the weights from images behind each map, enlarged and scaled to [0, 1]."""
    if not checks.affordable(subject, 1):
        return Measurement(None, detail=checks.too_expensive(subject, 1))
    classifier, image, found = subject.classifier, subject.image[0], _outputs(subject, layer)
    objective = subject.objective
    assert isinstance(objective, Logit)
    target = classifier.target(objective.target)
    predict = classifier.logits if classifier.head == "values" else classifier.predict
    blank, expected = predict(np.zeros_like(subject.image))[0, target], np.zeros(found.shape[:2])
    for part in classifier.slices(found.shape[-1]):
        shown, numbers = [], []
        for number in range(part.start, part.stop):
            mask = _enlarged(found[..., number], *image.shape[:2])
            if mask.max() > mask.min():
                shown.append((mask - mask.min())[..., None] / (mask.max() - mask.min()) * image)
                numbers.append(number)
        if numbers:
            weights = predict(np.stack(shown).astype(np.float32))[:, target].astype(np.float64) - blank
            expected += found[..., numbers] @ weights
    detail = f"all positions, {found.shape[-1]} masks"
    error = checks.difference(subject.array("evidence"), expected)
    return Measurement(error, checks.rounding(classifier), detail)


METHODS: dict[str, Callable[[Subject, Layer], Measurement]] = {
    "gradcam": _mean_weights,
    "gradcam++": _closed_form,
    "layercam": _weights_of_positions,
    "scorecam": _weights_of_masks,
}
"""The check of each method."""


def _outputs(subject: Subject, layer: Layer) -> Float64[np.ndarray, "h w F"]:
    """The feature maps of the layer."""
    outputs = subject.classifier.activations(subject.image, [layer.name])[layer.name]
    return np.asarray(layer.as_maps(outputs)[0], np.float64)


def _confirmed_gradient(
    subject: Subject, layer: Layer, found: Float64[np.ndarray, "h w F"]
) -> tuple[Float64[np.ndarray, "h w F"], Measurement]:
    """The gradient of the score with respect to the feature maps, and its comparison with central differences.

    A gradient that is not confirmed must not be used.

    Args:
        subject: The subject of the check.
        layer: The layer.
        found: Its feature maps.
    """
    assert subject.objective is not None
    _, _, own = subject.classifier.layer_gradient(subject.image, layer.name, [subject.objective])
    gradient = np.asarray(layer.as_maps(own)[0], np.float64)
    effects = found * gradient
    size = np.linalg.norm(effects)
    # Units of zero stay as they are: among equal ones, a max-pooling has no gradient.
    noise = subject.random.normal(size=(DIRECTIONS, *found.shape))
    directions = found * (noise + (LEAN * effects / size if size else 0))
    measured = _slopes(subject, layer, directions)
    confirmed = checks.slope_measurement(np.tensordot(directions, gradient, axes=3), measured, "directions")
    return gradient, replace(confirmed, detail=f"the gradient of the layer: {confirmed.detail}")


def _slopes(subject: Subject, layer: Layer, directions: Float[np.ndarray, "D h w F"]) -> checks.Slopes:
    """The slopes of the score along directions in the feature maps; tokens without a position stay as they are."""
    assert subject.objective is not None
    outputs: Float32[np.ndarray, " ..."] = subject.classifier.activations(subject.image, [layer.name])[layer.name][0]
    function = checks.tail_scores(subject.classifier, subject.image, layer.name, subject.objective)
    moves = directions if layer.grid is None else layer.grid.spread(directions.astype(np.float64))
    return checks.slopes(function, outputs, moves)


def _positions(subject: Subject) -> tuple[Int64[np.ndarray, " n"], Int64[np.ndarray, " n"]]:
    """Rows and columns of the positions with the largest evidence, and of as many random ones."""
    shown = subject.array("evidence")
    strongest = np.argsort(-np.abs(shown), axis=None, kind="stable")[: POSITIONS // 2]
    chosen = np.concatenate([strongest, subject.random.integers(0, shown.size, POSITIONS - POSITIONS // 2)])
    rows, columns = np.unravel_index(chosen, shown.shape)
    return rows, columns


def _enlarged(values: Float64[np.ndarray, "h w"], height: int, width: int) -> Float64[np.ndarray, "{height} {width}"]:
    """Linear interpolation between the centers of the positions, first along the columns, then along the rows."""
    rows, columns = (
        (np.arange(side) + 0.5) * old / side - 0.5 for side, old in zip((height, width), values.shape, strict=True)
    )
    tall = np.stack([np.interp(rows, np.arange(len(values)), each) for each in values.T], axis=1)
    return np.stack([np.interp(columns, np.arange(values.shape[1]), each) for each in tall])
