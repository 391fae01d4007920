"""The strongest patches of a data set for each feature map, and their projections (Zeiler & Fergus 2014, figure 2)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnexplain_plugins.deconvnet import crops
from cnnexplain_plugins.deconvnet.peaks import unit_facts

if TYPE_CHECKING:
    from jaxtyping import Float32, Int

    from cnnexplain import Classifier, Stream
    from cnnexplain_plugins.deconvnet.layers import ShownLayer
    from cnnexplain_plugins.deconvnet.peaks import DatasetPeaks, Peaks

ALL, SOME = 32, 8
"""All feature maps are shown with their patches if a layer has at most `ALL`; of a larger layer, at least `SOME`."""

PATCH = 64
"""A patch has the size of the receptive field. If that exceeds half of the image and this number of pixels, the patch is the
half of the image around the middle of the field, or this number of pixels."""


def select_maps(
    layer: ShownLayer,
    dataset_peaks: DatasetPeaks,
    strongest: Sequence[Mapping[str, Sequence[Mapping[str, Any]]]],
    maps: int | Sequence[int],
) -> Int[np.ndarray, " M"]:
    """The feature maps of a layer that are shown with their strongest patches.

    In a small layer these are all; in others, those that are shown for the images, the most frequent first, followed by the
    most selective.
    """
    if not isinstance(maps, int):
        return np.array(maps)
    if layer.channels <= ALL:
        return np.arange(layer.channels)
    counts = Counter(fact["map"] for image in strongest for fact in image[layer.name])
    selective = np.lexsort((-dataset_peaks.values[:, 0], -dataset_peaks.selectivity))
    order = dict.fromkeys([*(number for number, _ in counts.most_common()), *map(int, selective)])
    return np.array([*order][: max(maps, SOME)])


def strongest_patches(
    classifier: Classifier,
    dataset: Stream,
    layer: ShownLayer,
    maps: Int[np.ndarray, " M"],
    peaks: Peaks,
    selectivity: Float32[np.ndarray, " F"],
) -> tuple[dict[str, Float32[np.ndarray, "M J h w C"]], list[dict[str, Any]]]:
    """What some feature maps of a layer see at their strongest activations, and the projections of these.

    Args:
        classifier: The model.
        dataset: The data set.
        layer: The layer.
        maps: The numbers of the feature maps.
        peaks: Their strongest units in the data set, (M, J).
        selectivity: That of all feature maps of the layer.

    Returns:
        The arrays `patch/…` and `patch_projection/…`, and the facts of each feature map; see `run`.
    """
    height, width, channels = classifier.preprocess.shape
    shape = height, width
    limit = min(height, max(PATCH, height // 2)), min(width, max(PATCH, width // 2))
    size = (*peaks.values.shape, *crops.size(layer.field, limit), channels)
    patches = np.full(size, classifier.preprocess.gray, np.float32)
    projections = {rule: np.zeros(size, np.float32) for rule in layer.rules}
    names = dataset.names
    facts = [
        {
            "map": int(number),
            "selectivity": float(selectivity[number]),
            "strongest": [
                {
                    "image": names[int(peaks.images[place, rank])],
                    **unit_facts(peaks, (place, rank), layer, shape, limit),
                    "inside": {},
                }
                for rank in range(peaks.values.shape[1])
            ],
        }
        for place, number in enumerate(maps)
    ]
    units = [(place, rank) for place in range(len(maps)) for rank in range(peaks.values.shape[1])]
    for part in classifier.slices(len(units)):
        places, ranks = np.array(units[part]).T
        batch = peaks.select((places, ranks))
        images = np.asarray(dataset.pick([int(image) for image in batch.images]))
        at = np.stack([np.zeros_like(places), batch.rows, batch.columns, maps[places]], axis=1)
        projected = {rule: classifier.project_units(images, [layer.name], at, batch.values, rule) for rule in layer.rules}
        for number, (place, rank) in enumerate(zip(places, ranks, strict=True)):
            fact = facts[place]["strongest"][rank]
            crops.cut(images[number], fact["corner"], patches[place, rank])
            for rule, signal in projected.items():
                crops.cut(signal[number], fact["corner"], projections[rule][place, rank])
                whole = float((signal[number].astype(np.float64) ** 2).sum())
                inside = float((projections[rule][place, rank].astype(np.float64) ** 2).sum())
                fact["inside"][rule] = inside / whole if whole else 1.0
    arrays = {f"patch/{layer.name}": patches}
    arrays |= {f"patch_projection/{layer.name}/{rule}": projections[rule] for rule in layer.rules}
    return arrays, facts
