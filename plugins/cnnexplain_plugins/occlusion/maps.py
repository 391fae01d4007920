"""What a network says of an image at every position of the square (Zeiler, Fergus 2014, section 4.2 and figure 7)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnexplain.numerics import baseline_function, batches
from cnnexplain.plugin import Result
from cnnexplain_plugins.occlusion.squares import Squares, slide

if TYPE_CHECKING:
    from cnnexplain import Array, Classifier, Floats, Integers


QUIET = 0.1
"""The share of the positions where the second square changes the score the least: there is little to hide."""

MOST = 0.5
"""The square is an object to the network where it changes the prediction at this share of those positions, or the score by
this share of the most that the second square changes it anywhere."""

OBJECT = (
    "For some images the network reacts to the square (--fill {fill}) itself: it changes the score or even the prediction "
    "where a second square ({second}) hardly changes the score (own_drop, own_changes). Their maps show the square as "
    "well as what it hides; compare with the map of the second square (second_logit_drop)."
)


def occlusion(
    classifier: Classifier,
    images: Floats,
    targets: Integers,
    progress: Callable[[int, int], None],
    *,
    patch: int | None,
    stride: int | None,
    fill: str,
    compare: str | None,
    layer: str | None,
) -> Result:
    """The maps by position and by pixel, and what is known of each image; see `run`."""
    second = second_fill(classifier, fill, compare)
    squares = positions(classifier, patch, stride, second)
    behind = _behind(classifier, images, squares, fill, "--fill")
    behind_second = None if second is None else _behind(classifier, images, squares, second, "--compare")
    watched = _watched(classifier, layer)
    names = ["logits"] if watched is None else ["logits", watched]
    outputs = classifier.activations(images, names)
    channels = np.zeros(len(images), np.int64)
    if watched is not None:
        channels = outputs[watched].sum(axis=(1, 2), dtype=np.float64).argmax(axis=1)
    before = _measured(classifier, outputs, targets, watched, channels)
    fills = 1 if second is None else 2

    def slid(behind: Floats, watched: str | None, fill: int) -> dict[str, Array]:
        """What is recorded with the square at every position, (N, rows, columns) by name."""
        parts = []

        def report(done: int, total: int) -> None:
            progress(fill * total + done, fills * total)

        for batch in batches(classifier, squares.count, len(images), report):
            which = batch.image
            hidden = np.where(squares.cover(batch.copy)[..., None], behind[which], images[which])
            outputs = classifier.activations(hidden, names if watched is not None else ["logits"])
            parts.append(_measured(classifier, outputs, targets[which], watched, channels[which]))
        shape = (len(squares.tops), len(squares.lefts), len(images))
        found = {name: np.concatenate([part[name] for part in parts]).reshape(shape) for name in parts[0]}
        return {name: np.ascontiguousarray(np.moveaxis(values, -1, 0)) for name, values in found.items()}

    grids = slid(behind, watched, 0)
    told = [name for name in ("logit", "probability") if name in before]
    drops = {name: before[name][:, None, None] - grids[name] for name in told}
    worst = drops["logit"].reshape(len(images), -1).argmax(axis=1)
    arrays: dict[str, Array] = {
        **grids,
        **{f"{name}_drop": squares.mean(drop) for name, drop in drops.items()},
        "occluded": np.where(squares.cover(worst)[..., None], behind, images),
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
    }
    if watched is not None:
        facts |= {"layer": [watched] * len(images), "feature_map": channels.tolist()}
    warnings = []
    if behind_second is not None:
        others = slid(behind_second, None, 1)
        other = before["logit"][:, None, None] - others["logit"]
        arrays |= {"second_logit": others["logit"], "second_logit_drop": squares.mean(other)}
        changed = np.zeros(other.shape, bool)
        if "prediction" in before:
            kept = before["prediction"][:, None, None] == others["prediction"]
            changed = kept & (grids["prediction"] != others["prediction"])
        compared = _compared(drops["logit"], other, changed)
        facts |= {"second_fill": [second] * len(images), **compared}
        most = np.abs(other).max(axis=(1, 2))
        if any(share >= MOST for share in compared["own_changes"]) or (np.abs(compared["own_drop"]) > MOST * most).any():
            warnings.append(OBJECT.format(fill=fill, second=second))
    return Result({name: _single(array) for name, array in arrays.items()}, facts, warnings=tuple(warnings))


def second_fill(classifier: Classifier, fill: str, compare: str | None) -> str | None:
    """What a second square shows: as asked for, or a blur (or gray, if that is the first) on photographs; None for none."""
    if compare is not None:
        return None if compare == "none" else compare
    if not classifier.preprocess.photographs:
        return None
    return "gray" if fill == "blur" else "blur"


def positions(classifier: Classifier, patch: int | None, stride: int | None, second: str | None) -> Squares:
    """Where the square goes; where there are two they take steps of a quarter of their side, if nothing else is said."""
    return slide(*classifier.preprocess.shape[:2], patch, stride, 7 if second is None else 4)


def _behind(classifier: Classifier, images: Floats, squares: Squares, fill: str, option: str) -> Floats:
    """What the square shows at every pixel, (N, H, W, C)."""
    shown = baseline_function(fill, classifier.preprocess, squares.patch / 2, option)
    return np.stack([shown(image) for image in images])


def _compared(drops: Floats, others: Floats, changed: Array) -> dict[str, list[Any]]:
    """How far the maps of two squares agree, and what the first one does where the second changes the score the least.

    Args:
        drops: Of the score, by position, (N, rows, columns).
        others: Those of the second square.
        changed: Where the first square changes the prediction, and the second one does not.

    Returns:
        For each image `agreement`, and over the quiet positions `own_drop`, the median, and `own_changes`, the share.
    """
    size = others[0].size
    quiet = np.argsort(np.abs(others).reshape(-1, size), axis=1, kind="stable")[:, : max(1, round(QUIET * size))]
    at_quiet = [np.take_along_axis(values.reshape(-1, size), quiet, axis=1) for values in (drops, changed)]
    return {
        "agreement": [rank_correlation(*each) for each in zip(drops, others, strict=True)],
        "own_drop": np.median(at_quiet[0], axis=1).tolist(),
        "own_changes": at_quiet[1].mean(axis=1).tolist(),
    }


def rank_correlation(first: Floats, second: Floats) -> float | None:
    """Spearman's correlation of two maps, from −1 to 1, equal values sharing their mean rank; None where one is constant."""
    ranks = []
    for values in (first, second):
        _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
        middle = np.cumsum(counts) - (counts + 1) / 2
        ranks.append(middle[places.ravel()] - (values.size - 1) / 2)
    spread = np.sqrt((ranks[0] ** 2).sum() * (ranks[1] ** 2).sum())
    return float(ranks[0] @ ranks[1] / spread) if spread else None


def _watched(classifier: Classifier, layer: str | None) -> str | None:
    """The layer whose strongest feature map is watched; None for a model without convolutions where none is named."""
    if layer is not None:
        return classifier.layer(layer, maps=True).name
    return classifier.convolutions[-1].name if classifier.convolutions else None


def _measured(
    classifier: Classifier, outputs: Mapping[str, Floats], targets: Integers, watched: str | None, channels: Integers
) -> dict[str, Array]:
    """What is recorded of N images, by name, each (N,), from the outputs of the layers for them."""
    each = np.arange(len(targets))
    logits = outputs["logits"].astype(np.float64)
    measured: dict[str, Array] = {"logit": logits[each, targets]}
    if classifier.head != "values":
        measured["probability"] = classifier.probabilities(logits)[each, targets]
        measured["prediction"] = logits.argmax(axis=1)
    if watched is not None:
        measured["activation"] = outputs[watched][each, :, :, channels].sum(axis=(1, 2), dtype=np.float64)
    return measured


def _single(array: Array) -> Array:
    """Single precision for what was summed and averaged in double, which is more than the network gives."""
    return array.astype(np.float32) if array.dtype == np.float64 else array
