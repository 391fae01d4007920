"""What a network says of an image at every position of the square (Zeiler, Fergus 2014, section 4.2 and figure 7)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnexplain.fills import filling
from cnnexplain.plugin import Result
from cnnexplain_occlusion.squares import slide

if TYPE_CHECKING:
    from cnnexplain.arrays import Array, Floats, Integers
    from cnnexplain.classifier import Classifier


def occlusion(
    classifier: Classifier,
    images: Floats,
    targets: Integers,
    progress: Callable[[int, int], None],
    *,
    patch: int | None,
    stride: int | None,
    fill: str,
    layer: str | None,
) -> Result:
    """The maps by position and by pixel, and what is known of each image; see `cnnexplain_occlusion.run`."""
    height, width = images.shape[1:3]
    squares = slide(height, width, patch, stride)
    fills = filling(fill, classifier.preprocess, squares.patch / 2, "--fill")
    behind = np.stack([fills(image) for image in images])
    watched = _watched(classifier, layer)
    names = ["logits"] if watched is None else ["logits", watched]
    outputs = classifier.activations(images, names)
    channels = np.zeros(len(images), np.int64)
    if watched is not None:
        channels = outputs[watched].sum(axis=(1, 2), dtype=np.float64).argmax(axis=1)
    before = _measured(classifier, outputs, targets, watched, channels)
    total, parts = len(images) * squares.count, []
    for here in classifier.slices(total):
        which, where = np.divmod(np.arange(here.start, here.stop), squares.count)
        shown = np.where(squares.cover(where)[..., None], behind[which], images[which])
        parts.append(_measured(classifier, classifier.activations(shown, names), targets[which], watched, channels[which]))
        progress(here.stop, total)
    shape = (len(images), len(squares.tops), len(squares.lefts))
    grids = {name: np.concatenate([part[name] for part in parts]).reshape(shape) for name in before}
    drops = {name: before[name][:, None, None] - grids[name] for name in ("logit", "probability")}
    worst = drops["logit"].reshape(len(images), -1).argmax(axis=1)
    arrays: dict[str, Array] = {
        **grids,
        **{f"{name}_drop": squares.mean(drop) for name, drop in drops.items()},
        "occluded": np.where(squares.cover(worst)[..., None], behind, images),
    }
    rows, columns = np.unravel_index(worst, shape[1:])
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
    return Result({name: _single(array) for name, array in arrays.items()}, facts)


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
    measured = {
        "logit": logits[each, targets],
        "probability": classifier.probabilities(logits)[each, targets],
        "prediction": logits.argmax(axis=1),
    }
    if watched is not None:
        measured["activation"] = outputs[watched][each, :, :, channels].sum(axis=(1, 2), dtype=np.float64)
    return measured


def _single(array: Array) -> Array:
    """Single precision for what was summed and averaged in double, which is more than the network gives."""
    return array.astype(np.float32) if array.dtype == np.float64 else array
