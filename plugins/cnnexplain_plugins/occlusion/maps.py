"""The outputs of a network for every position of the square (Zeiler, Fergus 2014, section 4.2 and figure 7)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from cnnexplain.numerics import baseline_function
from cnnexplain.plugin import Result
from cnnexplain_plugins.occlusion.squares import Squares, slide

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Float32, Int64, Shaped

    from cnnexplain import Classifier


QUIET = 0.1
"""The share of positions that count as quiet: those where the second square changes the score least, as it hides little."""

OBJECT_SHARE = 0.5
"""The network reacts to the square itself if the square changes the prediction at this share of the quiet positions, or the
score there by this share of the largest change by the second square at any position."""

OBJECT_WARNING = (
    "For some images the network reacts to the square (--fill {fill}) itself: it changes the score or even the prediction "
    "where a second square ({second}) hardly changes the score (own_drop, own_changes). Their maps show the square as "
    "well as what it hides; compare with the map of the second square (second_logit_drop)."
)


def occlusion(
    classifier: Classifier,
    images: Float32[np.ndarray, "N H W C"],
    targets: Int64[np.ndarray, " N"],
    progress: Callable[[int, int], None],
    *,
    patch: int | None,
    stride: int | None,
    fill: str,
    compare: str | None,
    layer: str | None,
) -> Result:
    """The maps by position and by pixel, and the facts of each image; see `run`."""
    second = second_fill(classifier, fill, compare)
    squares = positions(classifier, patch, stride, second)
    fills = _fill_images(classifier, images, squares, fill, "--fill")
    second_fills = None if second is None else _fill_images(classifier, images, squares, second, "--compare")
    recorded = _recorded_layer(classifier, layer)
    outputs = classifier.activations(images, ["logits"] if recorded is None else ["logits", recorded])
    channels = np.zeros(len(images), np.int64)
    if recorded is not None:
        totals = outputs[recorded].sum(axis=(1, 2), dtype=np.float64)
        channels = totals.argmax(axis=1)
    before = _measure(classifier, outputs["logits"], targets)
    if recorded is not None:
        before["activation"] = totals.max(axis=1)
    passes = 1 if second is None else 2
    boxes = squares.boxes

    def slide_square(
        fills: Float32[np.ndarray, "N H W C"], recorded: str | None, number: int
    ) -> tuple[dict[str, Shaped[np.ndarray, "N rows columns"]], str]:
        """The measurements with the square at every position, by name, and how they were computed."""
        parts, computation = [], ""
        names, function = (["logits"], None) if recorded is None else (["logits", recorded], _scores_and_total)

        # The logits of all images together may need much memory.
        for part in classifier.slices(len(images)):
            start = number * len(images) + part.start

            def report(done: int, _: int, start: int = start) -> None:
                progress(start * squares.count + done, passes * len(images) * squares.count)

            arrays = [] if recorded is None else [channels[part]]
            (logits, *totals), computation = classifier.occluded(
                images[part], boxes, fills[part], names, function, arrays, report
            )
            copies = logits.reshape(-1, logits.shape[-1])
            measured = _measure(classifier, copies, np.repeat(targets[part], squares.count))
            if totals:
                measured["activation"] = totals[0].reshape(-1)
            parts.append(measured)
        grids = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        shape = (len(images), len(squares.tops), len(squares.lefts))
        return {name: grid.reshape(shape) for name, grid in grids.items()}, computation

    grids, computation = slide_square(fills, recorded, 0)
    drops = {name: before[name][:, None, None] - grids[name] for name in ("logit", "probability") if name in before}
    worst = drops["logit"].reshape(len(images), -1).argmax(axis=1)
    arrays: dict[str, Shaped[np.ndarray, "N ..."]] = {
        **grids,
        **{f"{name}_drop": squares.mean(drop) for name, drop in drops.items()},
        "occluded": np.where(squares.cover(worst)[..., None], fills, images),
    }
    rows, columns = np.unravel_index(worst, drops["logit"].shape[1:])
    facts: dict[str, list[Any]] = {
        **{f"unoccluded_{name}": before[name].tolist() for name in before if name != "prediction"},
        "largest_drop": drops["logit"].max(axis=(1, 2)).tolist(),
        "largest_drop_square": np.stack([squares.tops[rows], squares.lefts[columns]], axis=1).tolist(),
        "rows": [squares.tops.tolist()] * len(images),
        "columns": [squares.lefts.tolist()] * len(images),
        "patch": [squares.patch] * len(images),
        "stride": [squares.stride] * len(images),
        "computation": [computation] * len(images),
    }
    if recorded is not None:
        facts |= {"layer": [recorded] * len(images), "feature_map": channels.tolist()}
    warnings = []
    if second_fills is not None:
        second_grids, _ = slide_square(second_fills, None, 1)
        second_drops = before["logit"][:, None, None] - second_grids["logit"]
        arrays |= {"second_logit": second_grids["logit"], "second_logit_drop": squares.mean(second_drops)}
        changed = np.zeros(second_drops.shape, bool)
        if "prediction" in before:
            kept = before["prediction"][:, None, None] == second_grids["prediction"]
            changed = kept & (grids["prediction"] != second_grids["prediction"])
        comparison = _compare(drops["logit"], second_drops, changed)
        facts |= {"second_fill": [second] * len(images), **comparison}
        least_drop = OBJECT_SHARE * np.abs(second_drops).max(axis=(1, 2))
        changes = any(share >= OBJECT_SHARE for share in comparison["own_changes"])
        if changes or (np.abs(comparison["own_drop"]) > least_drop).any():
            warnings.append(OBJECT_WARNING.format(fill=fill, second=second))
    return Result({name: _single_precision(array) for name, array in arrays.items()}, facts, warnings=tuple(warnings))


def second_fill(classifier: Classifier, fill: str, compare: str | None) -> str | None:
    """The fill of the second square: by default a blur, or gray if the first is a blur, for photographs; None for none."""
    if compare is not None:
        return None if compare == "none" else compare
    if not classifier.preprocess.photographs:
        return None
    return "gray" if fill == "blur" else "blur"


def positions(classifier: Classifier, patch: int | None, stride: int | None, second: str | None) -> Squares:
    """The positions of the square. The default stride is a seventh of the side, or a quarter if there is a second square."""
    return slide(*classifier.preprocess.shape[:2], patch, stride, 7 if second is None else 4)


def _fill_images(
    classifier: Classifier, images: Float32[np.ndarray, "N H W C"], squares: Squares, fill: str, option: str
) -> Float32[np.ndarray, "N H W C"]:
    """For each image the pixels that the square shows."""
    baseline = baseline_function(fill, classifier.preprocess, squares.patch / 2, option)
    return np.stack([baseline(image) for image in images])


def _compare(
    drops: Float[np.ndarray, "N rows columns"],
    second_drops: Float[np.ndarray, "N rows columns"],
    changed: Bool[np.ndarray, "N rows columns"],
) -> dict[str, list[Any]]:
    """How far the maps of two squares agree, and what the first one does where the second changes the score least.

    Args:
        drops: The drops of the score, by position.
        second_drops: Those of the second square.
        changed: Where the first square changes the prediction, and the second one does not.

    Returns:
        For each image `agreement`, and over the quiet positions `own_drop`, the median, and `own_changes`, the share.
    """
    size = second_drops[0].size
    quiet = np.argsort(np.abs(second_drops).reshape(-1, size), axis=1, kind="stable")[:, : max(1, round(QUIET * size))]
    at_quiet = [np.take_along_axis(values.reshape(-1, size), quiet, axis=1) for values in (drops, changed)]
    return {
        "agreement": [rank_correlation(*each) for each in zip(drops, second_drops, strict=True)],
        "own_drop": np.median(at_quiet[0], axis=1).tolist(),
        "own_changes": at_quiet[1].mean(axis=1).tolist(),
    }


def rank_correlation(first: Float[np.ndarray, "*shape"], second: Float[np.ndarray, "*shape"]) -> float | None:
    """Spearman's rank correlation of two maps, from −1 to 1, with mean ranks for ties; None if one of them is constant."""
    ranks = []
    for values in (first, second):
        _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
        middle = np.cumsum(counts) - (counts + 1) / 2
        ranks.append(middle[places.ravel()] - (values.size - 1) / 2)
    spread = np.sqrt((ranks[0] ** 2).sum() * (ranks[1] ** 2).sum())
    return float(ranks[0] @ ranks[1] / spread) if spread else None


def _recorded_layer(classifier: Classifier, layer: str | None) -> str | None:
    """The layer whose strongest feature map is recorded; None by default for a model without convolutions."""
    if layer is not None:
        return classifier.layer(layer, maps=True).name
    return classifier.convolutions[-1].name if classifier.convolutions else None


def _scores_and_total(outputs: Mapping[str, Any], channels: Any) -> list[Any]:
    """The logits of n copies and the total activation of one feature map of each, from the outputs of layers."""
    logits, maps = outputs.values()
    totals = keras.ops.sum(maps, axis=(1, 2))
    return [logits, keras.ops.take_along_axis(totals, keras.ops.cast(channels, "int32")[:, None], axis=1)[:, 0]]


def _measure(
    classifier: Classifier, logits: Float[np.ndarray, "N K"], targets: Int64[np.ndarray, " N"]
) -> dict[str, Shaped[np.ndarray, " N"]]:
    """What is recorded of the scores of N images, by name."""
    index = np.arange(len(targets))
    logits = logits.astype(np.float64)
    measurements: dict[str, Shaped[np.ndarray, " N"]] = {"logit": logits[index, targets]}
    if classifier.head != "values":
        measurements["probability"] = classifier.probabilities(logits)[index, targets]
        measurements["prediction"] = logits.argmax(axis=1)
    return measurements


def _single_precision(array: Shaped[np.ndarray, " ..."]) -> Shaped[np.ndarray, " ..."]:
    """Converts sums and means in double precision to the precision of the network."""
    return array.astype(np.float32) if array.dtype == np.float64 else array
