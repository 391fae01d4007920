"""The mathematics of class activation maps: Grad-CAM, Grad-CAM++, Score-CAM and Layer-CAM; see `run`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnexplain import Logit, Spans
from cnnexplain.errors import ModelError, UsageError
from cnnexplain.numerics import bilinear, peaks
from cnnexplain.plugin import Result, other_calls_warning

if TYPE_CHECKING:
    from cnnexplain import Array, Classifier, Floats, Layer, Objective

TRIED = 24
"""Of so many layers of tokens, from the last one on, it is tried which one the scores depend on place by place."""


def gradcam(
    classifier: Classifier,
    images: Floats,
    objectives: list[Objective],
    progress: Callable[[int, int], None],
    *,
    method: str,
    layer: str | None,
) -> Result:
    """The maps and what is known of each; see `run`."""
    shown = explained_layer(classifier, layer)
    if method == "scorecam":
        warnings: list[str] = []
        evidence = _score_cam(classifier, images, objectives, shown, progress)
        logits = classifier.values(images, objectives)
    else:
        evidence, logits, warnings = _by_gradient(classifier, images, objectives, shown, progress, method)
    cams = np.maximum(evidence, 0)
    maps = spread(cams, *images.shape[1:3])
    warnings += _blank(cams, evidence, shown)
    if layer is None:
        warnings += _past(classifier, shown) + other_calls_warning(classifier, [shown.name])
    facts: dict[str, list[Any]] = {
        "layer": [shown.name] * len(images),
        "logit": [float(value) for value in logits],
        "peak": [float(cam.max()) for cam in cams],
        "peak_place": [_peak(cam) for cam in cams],
        "peak_pixel": [_peak(each) for each in maps],
        "positive": [float((cam > 0).mean()) for cam in cams],
        "shift": [_shift(classifier, shown)] * len(images),
    }
    return Result({"evidence": evidence, "cam": cams, "map": maps}, facts, warnings=tuple(warnings))


def explained_layer(classifier: Classifier, name: str | None) -> Layer:
    """The layer of that name, or the last that computes feature maps of more than one place, or tokens that stand for some.

    Of tokens it is the last layer from which more than a class token leads to the scores.
    """
    known = [layer for layer in classifier.layers if layer.sides is not None and not _single(layer)]
    if name is not None:
        layer = classifier.layer(name)
        if layer.sides is None and len(layer.shape) == 2:
            raise UsageError(
                f"The layer '{name}' ({layer.kind}) returns {layer.shape}, whose rows and columns are not known. "
                f"Those of these layers are: {', '.join(each.name for each in known[-10:]) or 'none'}."
            )
        if layer.sides is None:
            layer = classifier.layer(name, maps=True)
        if _single(layer):
            raise UsageError(
                f"The feature maps of the layer '{name}' have a single place, so a map would show no position; "
                "name a layer before it."
            )
        return layer
    # A softmax of scores for each pixel comes after them.
    found = [layer for layer in known if not layer.rearranges and classifier.leads_to_scores(layer.name)]
    if not found:
        raise ModelError(
            f"'{classifier.name}' has no layer that computes feature maps, which a class activation map is made of; "
            "choose another analysis, such as saliency."
        )
    if all(layer.grid is None for layer in found):
        return found[-1]
    ends = [layer for layer in found if layer.grid is None or not layer.within_block] or found
    return _leading(classifier, ends[-TRIED:])


def _leading(classifier: Classifier, layers: list[Layer]) -> Layer:
    """The last of some layers of which a score depends on places: past the last attention only a class token may count."""
    pixels = np.random.default_rng(0).uniform(0, 1, (1, *classifier.preprocess.shape))
    noise = classifier.preprocess.encode(pixels)
    _, gradients = classifier.layer_gradients(noise, [layer.name for layer in layers], np.array([0]))
    leading = [layer for layer in layers if layer.name in gradients and layer.as_maps(gradients[layer.name]).any()]
    return (leading or layers)[-1]


def _past(classifier: Classifier, shown: Layer) -> list[str]:
    """Says of later layers that their tokens can't be shown."""
    names = [layer.name for layer in classifier.layers]
    later = classifier.layers[names.index(shown.name) + 1 :] if shown.name in names else ()
    lost = [layer.name for layer in later if len(layer.shape) == 2 and layer.shape[0] > 1 and layer.grid is None]
    if not lost:
        return []
    return [
        f"The layer '{shown.name}' is shown, though there are later ones, such as '{lost[-1]}': the rows and columns of "
        "their outputs are not known."
    ]


def _single(layer: Layer) -> bool:
    return layer.sides == (1, 1)


def _by_gradient(
    classifier: Classifier,
    images: Floats,
    objectives: list[Objective],
    layer: Layer,
    progress: Callable[[int, int], None],
    method: str,
) -> tuple[Floats, Floats, list[str]]:
    """The evidence (N, h, w) of the methods that go by the gradient, the targets' values (N,), and warnings."""
    sides = layer.sides or (0, 0)
    evidence, values = np.zeros((len(images), *sides), np.float32), np.zeros(len(images), np.float32)
    singular = 0
    for here in classifier.slices(len(images)):
        values[here], outputs, gradient = classifier.layer_gradient(images[here], layer.name, objectives[here])
        a, g = (layer.as_maps(each).astype(np.float64) for each in (outputs, gradient))
        if method == "gradcam++":
            singular += int(((g > 0) & (_curvature(a, g) <= 0)).sum())
        evidence[here] = (WEIGHTS[method](a, g) * a).sum(axis=-1)
        progress(here.stop, len(images))
    warnings = []
    if singular:
        warnings.append(
            f"Grad-CAM++'s closed form has no meaning at {singular} units of '{layer.name}', whose feature maps have "
            "negative sums, and they are left out; name a layer after a ReLU, as the paper's are, or take another --method."
        )
    return evidence, values, warnings


def _grad_cam(_: Floats, g: Floats) -> Floats:
    """Selvaraju et al. 2017, equation 1: the mean of the gradient over the places of each map."""
    return np.asarray(g.mean(axis=(1, 2), keepdims=True))


def _curvature(a: Floats, g: Floats) -> Floats:
    """2 + g Σ_ab A_ab, which the closed form of Grad-CAM++ divides by."""
    return np.asarray(2 + g * a.sum(axis=(1, 2), keepdims=True))


def _grad_cam_plus_plus(a: Floats, g: Floats) -> Floats:
    """Chattopadhyay et al. 2018, equations 10 and 19, for the score Y = exp(S), without the factor exp(S) of ∂Y/∂A.

    α = g² / (2 g² + Σ_ab A_ab g³) = 1 / (2 + g Σ_ab A_ab) where g, the gradient of S, isn't zero.
    """
    below = _curvature(a, g)
    counts = (g > 0) & (below > 0)
    return np.asarray(np.where(counts, g / np.where(counts, below, 1), 0).sum(axis=(1, 2), keepdims=True))


def _layer_cam(_: Floats, g: Floats) -> Floats:
    """Jiang et al. 2021, equation 6: each place has a weight of its own, the gradient where it is positive."""
    return np.maximum(g, 0)


WEIGHTS: dict[str, Callable[[Floats, Floats], Floats]] = {
    "gradcam": _grad_cam,
    "gradcam++": _grad_cam_plus_plus,
    "layercam": _layer_cam,
}
"""The weights of feature maps A (N, h, w, K), given ∂S/∂A, by method: (N, 1, 1, K), or (N, h, w, K) place by place."""


def _score_cam(
    classifier: Classifier,
    images: Floats,
    objectives: list[Objective],
    layer: Layer,
    progress: Callable[[int, int], None],
) -> Floats:
    """The evidence (N, h, w) of Score-CAM (Wang et al. 2020, definitions 3 and 4).

    The weight of a map is p_c(x ∘ s(A)) − p_c(0), where s scales the map, spread over the image, to [0, 1]; for a model of
    values p_c is the value. A map that is the same everywhere has no such scale, hides nothing of the image, and weighs
    nothing.
    """
    targets = [_target(classifier, objective) for objective in objectives]
    channels, total = layer.shape[-1], len(images) * layer.shape[-1]
    answers = classifier.logits if classifier.head == "values" else classifier.predict
    blank = answers(np.zeros_like(images[:1]))[0].astype(np.float64)
    evidence = np.zeros((len(images), *(layer.sides or (0, 0))), np.float32)
    for number, target in enumerate(targets):
        image = images[number]
        outputs = classifier.activations(image[None], [layer.name])[layer.name]
        maps = np.moveaxis(layer.as_maps(outputs)[0], -1, 0)
        weights = np.zeros(channels)
        for here in classifier.slices(channels):
            masks, varied = _masks(maps[here], *image.shape[:2])
            weights[here] = answers(masks[..., None] * image)[:, target].astype(np.float64) - blank[target]
            weights[here][~varied] = 0
            progress(number * channels + here.stop, total)
        evidence[number] = np.tensordot(weights, maps.astype(np.float64), axes=1)
    return evidence


def _target(classifier: Classifier, objective: Objective) -> int:
    if not isinstance(objective, Logit):
        raise UsageError(
            "Score-CAM weighs feature maps by the model's output for a class or value, and can't explain "
            f"'{objective.describe(classifier.labels)}'. Leave out --against, or take another --method."
        )
    return classifier.target(objective.target)


def _masks(maps: Floats, height: int, width: int) -> tuple[Floats, Array]:
    """Maps (K, h, w) spread over the image and scaled from 0 to 1 each, and which of them have such a scale (K,)."""
    masks = spread(maps, height, width)
    low, high = masks.min(axis=(1, 2), keepdims=True), masks.max(axis=(1, 2), keepdims=True)
    varied = maps.min(axis=(1, 2)) < maps.max(axis=(1, 2))
    return np.asarray((masks - low) / np.where(high > low, high - low, 1), np.float32), varied


def spread(maps: Floats, height: int, width: int) -> Floats:
    """Maps (N, h, w) enlarged to (N, height, width): bilinear with pixel centers at half numbers, its edges going on."""
    rows, columns = (bilinear(*sides) for sides in ((maps.shape[1], height), (maps.shape[2], width)))
    return np.asarray(rows @ maps.astype(np.float64) @ columns.T, np.float32)


def _peak(values: Floats) -> list[int] | None:
    """Row and column of the maximum; None for a map of zeros."""
    return peaks(values[None])[0] if values.any() else None


def _shift(classifier: Classifier, layer: Layer) -> float | None:
    """How many pixels at most, along either axis, a place is drawn off the middle of its units' receptive field."""
    try:
        field = classifier.receptive_field(layer.name)
    except ModelError:
        return None
    if field.rows.whole or field.columns.whole:
        return None
    shifts: list[float] = []
    for axis, places, pixels in zip(
        (field.rows, field.columns), layer.sides or (), classifier.preprocess.shape, strict=False
    ):
        # What is cut off at the border moves the middle of what is seen.
        units = [
            unit
            for unit in range(places)
            if not isinstance(axis, Spans) or (axis.starts[unit] > 0 and axis.stops[unit] < pixels)
        ]
        shifts += [abs((unit + 0.5) * pixels / places - (axis.middle(unit) + 0.5)) for unit in units]
    return max(shifts, default=None)


def _blank(cams: Floats, evidence: Floats, layer: Layer) -> list[str]:
    """Says of maps that are zero everywhere why they are."""
    zero = np.asarray(~cams.any(axis=(1, 2)))
    if not zero.any():
        return []
    against = (evidence[zero] < 0).mean()
    return [
        f"The map is zero everywhere for {zero.sum()} of {len(zero)} images: at no place do the feature maps of "
        f"'{layer.name}' support the target, and at {against:.0%} of the places they lower its score (the array "
        "'evidence')."
    ]
