"""The strongest unit of each feature map: in each image, and over a data set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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

    def join(self, other: Peaks) -> Peaks:
        """These units, followed by those of `other` along axis 1."""
        return Peaks(*(np.concatenate(pair, axis=1) for pair in zip(self._arrays, other._arrays, strict=True)))

    @property
    def _arrays(self) -> tuple[Shaped[np.ndarray, "*units"], ...]:
        return self.values, self.unclipped, self.images, self.rows, self.columns


@dataclass(frozen=True)
class DatasetPeaks:
    """The strongest activations of a layer's F feature maps over a data set.

    Args:
        peaks: (F, J), the `TOP` strongest of each map, or fewer if the data set is smaller.
        selectivity: How far these lie above what the map's strongest unit has on average over the data set: the difference
            of the means, in standard deviations over the data set; 0 for a map that is the same for all images.
    """

    peaks: Peaks
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
    """For each layer the `TOP` strongest units of each feature map over a data set; among equal ones the earlier image.

    Only one batch of the data set is in memory at a time.
    """
    best: dict[str, Peaks] = {}
    moments = {layer.name: np.zeros((2, layer.shape[-1])) for layer in layers}
    count = 0
    for places, batch in dataset.batches():
        for name, (outputs, ranking) in classifier.unclipped(np.asarray(batch), [layer.name for layer in layers]).items():
            # Rows first: NumPy is several times faster along a long contiguous axis than along the few feature maps.
            maxima = ranking.max(axis=1).max(axis=1).T
            values = maxima.astype(np.float64)
            moments[name] += values.sum(axis=1), (values**2).sum(axis=1)
            best[name] = _join(best.get(name), maxima, places, outputs, ranking)
        count += len(places)
        progress(int(places[-1]) + 1)
    return {name: DatasetPeaks(peaks, _selectivity(peaks, *(moments[name] / count))) for name, peaks in best.items()}


def _join(
    best: Peaks | None,
    maxima: Float[np.ndarray, "F N"],
    places: Int[np.ndarray, " N"],
    outputs: Float[np.ndarray, "N h w F"],
    ranking: Float[np.ndarray, "N h w F"],
) -> Peaks:
    """The `TOP` strongest units of each feature map so far and in a batch with these maxima of the maps."""
    order = np.argsort(-maxima, axis=1, kind="stable")[:, :TOP]
    maps = np.broadcast_to(np.arange(len(order))[:, None], order.shape)
    ranks = maxima[maps, order]
    units = Peaks(ranks.copy(), ranks, places[order], np.zeros_like(order), np.zeros_like(order))
    # Few maps of a batch get among the strongest; only in these is the unit searched for.
    full = best is not None and best.unclipped.shape[1] == TOP
    entering = ranks > best.unclipped[:, -1:] if best is not None and full else np.ones(order.shape, bool)
    height, width = ranking.shape[1:3]
    searched = ranking[order[entering], :, :, maps[entering]].reshape(-1, height * width)
    rows, columns = np.divmod(searched.argmax(axis=1), width)
    units.rows[entering], units.columns[entering] = rows, columns
    units.values[entering] = outputs[order[entering], rows, columns, maps[entering]]
    joint = units if best is None else best.join(units)
    strongest = np.argsort(-joint.unclipped, axis=1, kind="stable")[:, :TOP]
    return joint.select((np.arange(len(strongest))[:, None], strongest))


def _selectivity(
    best: Peaks, mean: Float[np.ndarray, " F"], mean_square: Float[np.ndarray, " F"]
) -> Float32[np.ndarray, " F"]:
    deviation = np.sqrt(np.maximum(mean_square - mean**2, 0))
    # If all images are the same, rounding of the sums leaves a small deviation.
    varies = deviation > 1e-6 * np.abs(mean)
    above = best.unclipped.mean(axis=1) - mean
    return np.asarray(np.where(varies, above / np.where(varies, deviation, 1), 0), np.float32)


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
