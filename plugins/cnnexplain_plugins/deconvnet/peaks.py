"""The strongest unit of each feature map: in each image, and over a data set."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnexplain_plugins.deconvnet import crops

if TYPE_CHECKING:
    from jaxtyping import Float, Float32, Int, Shaped

    from cnnexplain import Classifier, Layer, Stream
    from cnnexplain_plugins.deconvnet.layers import ShownLayer

TOP = 9
"""The number of images of a data set that are shown for a feature map."""


@dataclass(frozen=True)
class Peaks:
    """Units, each the strongest of its feature map for one image; usually F feature maps × J images.

    Args:
        values: The activations.
        unclipped: The values by which units are ranked: the activations without the clip, if the layer has one.
        images: The index of the image in its batch or data set.
        rows: The row of the unit in the feature map.
        columns: Its column.
    """

    values: Float[np.ndarray, "*units"]
    unclipped: Float[np.ndarray, "*units"]
    images: Int[np.ndarray, "*units"]
    rows: Int[np.ndarray, "*units"]
    columns: Int[np.ndarray, "*units"]

    def select(self, key: Any) -> Peaks:
        """The units that the NumPy index `key` selects from each array."""
        return Peaks(*(array[key] for array in self._arrays))

    @property
    def _arrays(self) -> tuple[Shaped[np.ndarray, "*units"], ...]:
        return self.values, self.unclipped, self.images, self.rows, self.columns


@dataclass(frozen=True)
class DatasetPeaks:
    """The images of a data set in which a layer's F feature maps have their strongest units.

    Args:
        values: (F, J), the values by which units are ranked, of the `TOP` strongest of each map, or fewer if the data set is
            smaller.
        images: (F, J), the indices of their images.
        selectivity: How far these lie above what the map's strongest unit has on average over the data set: the difference
            of the means, in standard deviations over the data set; 0 for a map that is the same for all images.
    """

    values: Float32[np.ndarray, "F J"]
    images: Int[np.ndarray, "F J"]
    selectivity: Float32[np.ndarray, " F"]


def strongest_units(outputs: Float[np.ndarray, "N h w F"], ranking: Float[np.ndarray, "N h w F"]) -> Peaks:
    """The strongest unit of each feature map in each image, (F, N); among equal ones the first, row by row.

    Args:
        outputs: The activations.
        ranking: The larger this value, the stronger the unit.
    """
    count, _, width, channels = outputs.shape
    flat = ranking.reshape(count, -1, channels)
    units = flat.argmax(axis=1)
    ranks, values = (
        np.take_along_axis(each.reshape(count, -1, channels), units[:, None], axis=1)[:, 0] for each in (ranking, outputs)
    )
    images = np.broadcast_to(np.arange(count), (channels, count))
    return Peaks(values.T, ranks.T, images, units.T // width, units.T % width)


def strongest_images(
    classifier: Classifier, dataset: Stream, layers: Sequence[Layer], progress: Callable[[int], None] = lambda _: None
) -> dict[str, DatasetPeaks]:
    """For each layer the `TOP` images with the strongest units of each feature map; among equal ones the earlier image.

    Only one batch of the data set is in memory at a time.
    """
    best: dict[str, tuple[np.ndarray, ...]] = {}
    moments = {layer.name: np.zeros((2, layer.shape[-1])) for layer in layers}
    count = 0
    for places, batch in dataset.batches():
        for name, maxima in classifier.largest_values(np.asarray(batch), [layer.name for layer in layers]).items():
            values = maxima.astype(np.float64)
            moments[name] += values.sum(axis=0), (values**2).sum(axis=0)
            units = maxima.T
            images = np.broadcast_to(places, units.shape)
            if name in best:
                units, images = (np.concatenate(pair, axis=1) for pair in zip(best[name], (units, images), strict=True))
            order = np.argsort(-units, axis=1, kind="stable")[:, :TOP]
            best[name] = np.take_along_axis(units, order, axis=1), np.take_along_axis(images, order, axis=1)
        count += len(places)
        progress(int(places[-1]) + 1)
    return {
        name: DatasetPeaks(values, images, _selectivity(values, *(moments[name] / count)))
        for name, (values, images) in best.items()
    }


def _selectivity(
    best: Float32[np.ndarray, "F J"], mean: Float[np.ndarray, " F"], mean_square: Float[np.ndarray, " F"]
) -> Float32[np.ndarray, " F"]:
    deviation = np.sqrt(np.maximum(mean_square - mean**2, 0))
    # If all images are the same, rounding of the sums leaves a small deviation.
    varies = deviation > 1e-6 * np.abs(mean)
    above = best.mean(axis=1) - mean
    return np.asarray(np.where(varies, above / np.where(varies, deviation, 1), 0), np.float32)


def locate(
    classifier: Classifier,
    dataset: Stream,
    peaks: Mapping[str, DatasetPeaks],
    maps: Mapping[str, Int[np.ndarray, " M"]],
) -> dict[str, Peaks]:
    """The strongest units (M, J) of some feature maps of each layer, in the images of the data set where they are strongest.

    Each of these images goes through the network once more, so that no pass over the data set returns whole feature maps.
    """
    chosen = {name: peaks[name].images[numbers] for name, numbers in maps.items()}
    found = {
        name: Peaks(
            np.zeros(images.shape, np.float32), peaks[name].values[maps[name]], images, *np.zeros((2, *images.shape), int)
        )
        for name, images in chosen.items()
    }
    needed = np.unique(np.concatenate([images.ravel() for images in chosen.values()]))
    for part in classifier.slices(len(needed)):
        outputs = classifier.unclipped(np.asarray(dataset.pick(needed[part].tolist())), list(maps))
        for name, units in found.items():
            where = np.nonzero(np.isin(units.images, needed[part]))
            batch, numbers = np.searchsorted(needed[part], units.images[where]), maps[name][where[0]]
            values, ranking = (each[batch, :, :, numbers] for each in outputs[name])
            # The part may have no image that this layer needs.
            count, height, width = ranking.shape
            rows, columns = np.divmod(ranking.reshape(count, height * width).argmax(axis=1), width)
            units.rows[where], units.columns[where] = rows, columns
            units.values[where] = values[np.arange(count), rows, columns]
    return found


def unit_facts(
    peaks: Peaks, key: tuple[int, int], layer: ShownLayer, shape: Sequence[int], limit: Sequence[int]
) -> dict[str, Any]:
    """The facts of a unit: its activation and position, its receptive field, and where its crop begins.

    Args:
        peaks: The units.
        key: The index of the unit in `peaks`.
        layer: The layer of the unit.
        shape: (H, W) of the image.
        limit: The largest height and width of a crop.
    """
    row, column = int(peaks.rows[key]), int(peaks.columns[key])
    field = None
    if layer.field_known:
        pixels = layer.field.rows.slice(row, shape[0]), layer.field.columns.slice(column, shape[1])
        field = [[each.start, each.stop] for each in pixels]
    return {
        "activation": float(peaks.values[key]),
        "unclipped": float(peaks.unclipped[key]),
        "row": row,
        "column": column,
        "field": field,
        "middle": list(crops.middle(layer.field, row, column, shape)) if layer.field_known else None,
        "corner": list(crops.corner(layer.field, row, column, shape, limit)),
    }
