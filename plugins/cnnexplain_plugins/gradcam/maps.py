"""The computation of class activation maps: Grad-CAM, Grad-CAM++, Score-CAM and Layer-CAM; see `run`."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnexplain import Logit, Spans
from cnnexplain.errors import ModelError, UsageError
from cnnexplain.numerics import bilinear, peaks
from cnnexplain.plugin import Result, other_calls_warning

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Float32, Float64

    from cnnexplain import Classifier, Field, Layer, Objective

TRIED = 24
"""The number of layers of tokens, counted from the last, that are tested for whether scores depend on their positions."""


def gradcam(
    classifier: Classifier,
    images: Float32[np.ndarray, "N H W C"],
    objectives: list[Objective],
    progress: Callable[[int, int], None],
    *,
    method: str,
    layer: str | None,
) -> Result:
    """The maps and their facts; see `run`."""
    shown = explained_layer(classifier, layer)
    if method == "scorecam":
        warnings: list[str] = []
        evidence = _score_cam(classifier, images, objectives, shown, progress)
        logits = classifier.values(images, objectives)
    else:
        evidence, logits, warnings = _by_gradient(classifier, images, objectives, shown, progress, method)
    cams = np.maximum(evidence, 0)
    maps = enlarge(cams, *images.shape[1:3])
    highest = cams.max(axis=(1, 2))
    warnings += _zero_maps_warning(highest == 0, evidence, shown)
    if layer is None:
        warnings += _later_tokens_warning(classifier, shown) + other_calls_warning(classifier, [shown.name])
    facts: dict[str, list[Any]] = {
        "layer": [shown.name] * len(images),
        "logit": logits.tolist(),
        "peak": highest.tolist(),
        "peak_place": _places(cams, highest),
        "peak_pixel": _places(maps, maps.max(axis=(1, 2))),
        "positive": (cams > 0).mean(axis=(1, 2)).tolist(),
        "shift": [_max_shift(classifier, shown)] * len(images),
    }
    return Result({"evidence": evidence, "cam": cams, "map": maps}, facts, warnings=tuple(warnings))


def explained_layer(classifier: Classifier, name: str | None) -> Layer:
    """The layer with that name; by default the last one with feature maps (or tokens) of more than one position.

    For tokens, it is the last layer from which more than a class token reaches the scores.
    """
    if name is not None:
        layer = classifier.layer(name)
        if layer.sides is None and len(layer.shape) == 2:
            known = [each.name for each in classifier.layers if _has_positions(each)]
            raise UsageError(
                f"The layer '{name}' ({layer.kind}) returns {layer.shape}, whose rows and columns are unknown. "
                f"Layers with known ones: {', '.join(known[-10:]) or 'none'}."
            )
        if layer.sides is None:
            layer = classifier.layer(name, maps=True)
        if not _has_positions(layer):
            raise UsageError(
                f"The feature maps of the layer '{name}' have a single position, so there is nothing to locate; "
                "choose an earlier layer."
            )
        return layer
    # A softmax over scores for each pixel comes after the scores.
    last_first = (
        layer
        for layer in reversed(classifier.layers)
        if _has_positions(layer) and not layer.rearranges and classifier.leads_to_scores(layer.name)
    )
    last = next(last_first, None)
    if last is None:
        raise ModelError(
            f"'{classifier.name}' has no layer that computes feature maps, which a class activation map requires; "
            "choose another analysis, such as saliency."
        )
    # Most networks have no tokens, so that the other layers need not be examined.
    if all(layer.grid is None for layer in classifier.layers):
        return last
    candidates = [last, *last_first][::-1]
    if all(layer.grid is None for layer in candidates):
        return last
    ends = [layer for layer in candidates if layer.grid is None or not layer.within_block] or candidates
    return _last_with_positions(classifier, ends[-TRIED:])


def _last_with_positions(classifier: Classifier, layers: list[Layer]) -> Layer:
    """The last layer whose positions affect a score: after the last attention, only a class token may matter."""
    pixels = np.random.default_rng(0).uniform(0, 1, (1, *classifier.preprocess.shape))
    noise = classifier.preprocess.encode(pixels)
    _, gradients = classifier.layer_gradients(noise, [layer.name for layer in layers], np.array([0]))
    affecting = [layer for layer in layers if layer.name in gradients and layer.as_maps(gradients[layer.name]).any()]
    return (affecting or layers)[-1]


def _later_tokens_warning(classifier: Classifier, shown: Layer) -> list[str]:
    """A warning if later layers have tokens that can't be shown."""
    names = [layer.name for layer in classifier.layers]
    later = classifier.layers[names.index(shown.name) + 1 :] if shown.name in names else ()
    unknown = [layer.name for layer in later if len(layer.shape) == 2 and layer.shape[0] > 1 and layer.grid is None]
    if not unknown:
        return []
    return [
        f"The layer '{shown.name}' is shown instead of later ones, such as '{unknown[-1]}': the rows and columns of their "
        "outputs are unknown."
    ]


def _has_positions(layer: Layer) -> bool:
    """Whether a layer has feature maps, or tokens with known places, of more than one position."""
    return layer.sides not in (None, (1, 1))


def _by_gradient(
    classifier: Classifier,
    images: Float32[np.ndarray, "N H W C"],
    objectives: list[Objective],
    layer: Layer,
    progress: Callable[[int, int], None],
    method: str,
) -> tuple[Float32[np.ndarray, "N h w"], Float32[np.ndarray, " N"], list[str]]:
    """The evidence of the gradient-based methods, the values of the targets, and warnings."""
    sides = layer.sides or (0, 0)
    evidence, values = np.zeros((len(images), *sides), np.float32), np.zeros(len(images), np.float32)
    singular = 0
    for part in classifier.slices(len(images)):
        values[part], outputs, gradient = classifier.layer_gradient(images[part], layer.name, objectives[part])
        a, g = layer.as_maps(outputs), layer.as_maps(gradient)
        if method == "gradcam++":
            singular += int(((g > 0) & (_curvature(a, g) <= 0)).sum())
        evidence[part] = np.vecdot(WEIGHTS[method](a, g), a, dtype=np.float64)
        progress(part.stop, len(images))
    warnings = []
    if singular:
        warnings.append(
            f"Grad-CAM++'s closed form is invalid at {singular} units of '{layer.name}', whose feature maps have negative "
            "sums; they are left out. Choose a layer after a ReLU, as in the paper, or another --method."
        )
    return evidence, values, warnings


def _grad_cam(_: Float32[np.ndarray, "N h w F"], g: Float32[np.ndarray, "N h w F"]) -> Float64[np.ndarray, "N 1 1 F"]:
    """Selvaraju et al. 2017, equation 1: the mean of the gradient over the positions of each map."""
    return np.asarray(g.mean(axis=(1, 2), keepdims=True, dtype=np.float64))


def _curvature(a: Float32[np.ndarray, "N h w F"], g: Float32[np.ndarray, "N h w F"]) -> Float64[np.ndarray, "N h w F"]:
    """2 + g Σ_ab A_ab, the denominator of the closed form of Grad-CAM++."""
    return np.asarray(2 + g * a.sum(axis=(1, 2), keepdims=True, dtype=np.float64))


def _grad_cam_plus_plus(
    a: Float32[np.ndarray, "N h w F"], g: Float32[np.ndarray, "N h w F"]
) -> Float64[np.ndarray, "N 1 1 F"]:
    """Chattopadhyay et al. 2018, equations 10 and 19, for the score Y = exp(S), without the factor exp(S) of ∂Y/∂A.

    α = g² / (2 g² + Σ_ab A_ab g³) = 1 / (2 + g Σ_ab A_ab) where g, the gradient of S, is not zero.
    """
    denominator = _curvature(a, g)
    valid = (g > 0) & (denominator > 0)
    return np.asarray(np.where(valid, g / np.where(valid, denominator, 1), 0).sum(axis=(1, 2), keepdims=True))


def _layer_cam(_: Float32[np.ndarray, "N h w F"], g: Float32[np.ndarray, "N h w F"]) -> Float32[np.ndarray, "N h w F"]:
    """Jiang et al. 2021, equation 6: each position has its own weight, the positive part of the gradient."""
    return np.asarray(np.maximum(g, 0))


WEIGHTS: dict[
    str,
    Callable[[Float32[np.ndarray, "N h w F"], Float32[np.ndarray, "N h w F"]], Float[np.ndarray, "N ... F"]],
] = {
    "gradcam": _grad_cam,
    "gradcam++": _grad_cam_plus_plus,
    "layercam": _layer_cam,
}
"""For each method a function (feature maps A, ∂S/∂A) ↦ the weights of A: (N, 1, 1, F), or (N, h, w, F) by position."""


def _score_cam(
    classifier: Classifier,
    images: Float32[np.ndarray, "N H W C"],
    objectives: list[Objective],
    layer: Layer,
    progress: Callable[[int, int], None],
) -> Float32[np.ndarray, "N h w"]:
    """The evidence of Score-CAM (Wang et al. 2020, definitions 3 and 4).

    The weight of a map is p_c(x ∘ s(A)) − p_c(0), where s enlarges the map to the image and scales it to [0, 1]; for a
    regression model, p_c is the value. A constant map can't be scaled; its weight is 0.
    """
    targets = [_target(classifier, objective) for objective in objectives]
    channels, total = layer.shape[-1], len(images) * layer.shape[-1]
    predict = classifier.logits if classifier.head == "values" else classifier.predict
    blank = predict(np.zeros_like(images[:1]))[0].astype(np.float64)
    evidence = np.zeros((len(images), *(layer.sides or (0, 0))), np.float32)
    for number, target in enumerate(targets):
        image = images[number]
        outputs = classifier.activations(image[None], [layer.name])[layer.name]
        maps = np.moveaxis(layer.as_maps(outputs)[0], -1, 0)
        weights = np.zeros(channels)
        for part in classifier.slices(channels):
            masks, varies = _masks(maps[part], *image.shape[:2])
            weights[part] = predict(masks[..., None] * image)[:, target].astype(np.float64) - blank[target]
            weights[part][~varies] = 0
            progress(number * channels + part.stop, total)
        evidence[number] = np.tensordot(weights, maps.astype(np.float64), axes=1)
    return evidence


def _target(classifier: Classifier, objective: Objective) -> int:
    if not isinstance(objective, Logit):
        raise UsageError(
            "Score-CAM weights feature maps by the model's output for a class or value, so it can't explain "
            f"'{objective.describe(classifier.labels)}'. Leave out --against, or use another --method."
        )
    return classifier.target(objective.target)


def _masks(
    maps: Float[np.ndarray, "F h w"], height: int, width: int
) -> tuple[Float32[np.ndarray, "F H W"], Bool[np.ndarray, " F"]]:
    """Feature maps enlarged to the image, each scaled from 0 to 1, and whether each of them varies."""
    masks = enlarge(maps, height, width)
    low, high = masks.min(axis=(1, 2), keepdims=True), masks.max(axis=(1, 2), keepdims=True)
    varies = maps.min(axis=(1, 2)) < maps.max(axis=(1, 2))
    return np.asarray((masks - low) / np.where(high > low, high - low, 1), np.float32), varies


def enlarge(maps: Float[np.ndarray, "N h w"], height: int, width: int) -> Float32[np.ndarray, "N H W"]:
    """Enlarges maps to (height, width): bilinear with half-pixel centers, repeating the values at the edges."""
    rows, columns = (_interpolation(*sides) for sides in ((maps.shape[1], height), (maps.shape[2], width)))
    return np.asarray(rows @ maps.astype(np.float64) @ columns.T, np.float32)


_interpolation = lru_cache(bilinear)


def _places(maps: Float32[np.ndarray, "N h w"], maxima: Float32[np.ndarray, " N"]) -> list[list[int] | None]:
    """Row and column of the maximum of each map, which has no negative values; None for a map of zeros."""
    return [place if maximum else None for place, maximum in zip(peaks(maps), maxima.tolist(), strict=True)]


def _max_shift(classifier: Classifier, layer: Layer) -> float | None:
    """The maximum distance in pixels, along an axis, between where a unit is drawn and the middle of its receptive field."""
    try:
        field = classifier.receptive_field(layer.name)
    except ModelError:
        return None
    return None if layer.sides is None else _shift(field, layer.sides, classifier.preprocess.shape)


@lru_cache
def _shift(field: Field, sides: tuple[int, int], shape: tuple[int, ...]) -> float | None:
    """`_max_shift` for a receptive field, the rows and columns of a layer, and the shape of the image."""
    if field.rows.whole or field.columns.whole:
        return None
    shifts: list[float] = []
    for axis, places, pixels in zip((field.rows, field.columns), sides, shape, strict=False):
        # Receptive fields that are cut off at the border have another middle.
        units = [
            unit
            for unit in range(places)
            if not isinstance(axis, Spans) or (axis.starts[unit] > 0 and axis.stops[unit] < pixels)
        ]
        shifts += [abs((unit + 0.5) * pixels / places - (axis.middle(unit) + 0.5)) for unit in units]
    return max(shifts, default=None)


def _zero_maps_warning(zero: Bool[np.ndarray, " N"], evidence: Float32[np.ndarray, "N h w"], layer: Layer) -> list[str]:
    """A warning that explains maps that are zero everywhere."""
    if not zero.any():
        return []
    against = (evidence[zero] < 0).mean()
    return [
        f"The map is zero everywhere for {zero.sum()} of {len(zero)} images: the feature maps of '{layer.name}' do not "
        f"support the target at any position, and at {against:.0%} of the positions they lower its score (see the array "
        "'evidence')."
    ]
