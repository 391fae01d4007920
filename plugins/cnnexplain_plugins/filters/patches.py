"""A search through a data set for the patches to which kernels respond the most, and for kernels that are never active."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnexplain import Axis
from cnnexplain.errors import ModelError
from cnnexplain.numerics import averaged
from cnnexplain_plugins.filters.kernels import kernels

if TYPE_CHECKING:
    from cnnexplain import Array, Classifier, Convolution, Field, Floats, Stream

PATCHES = 4
"""How many patches are kept of each kernel, one from each image."""

SIDE = 64
"""Rows and columns of a patch at most; of a larger one blocks of pixels are averaged."""


class Search:
    """The strongest patches of some kernels over a data set, of which only one batch is in memory at a time.

    Args:
        classifier: The model.
        dataset: What to look through.
        chosen: The convolutions whose patches are looked for.
        shown: For each of them, by name, which of its kernels.
    """

    def __init__(
        self,
        classifier: Classifier,
        dataset: Stream,
        chosen: Sequence[Convolution],
        shown: Mapping[str, Sequence[int]],
    ) -> None:
        self.classifier = classifier
        self.dataset = dataset
        self.shown = shown
        # Where it isn't known what a unit sees there are no patches.
        self.fields = {each.layer.name: field for each in chosen if (field := _field(classifier, each)) is not None}
        self.chosen = [each for each in chosen if each.layer.name in self.fields]
        # For each kernel its best responses, each with the image's place and with row and column: (K, up to PATCHES, 4).
        self.best: dict[str, Array] = {}

    def run(self, layers: Sequence[Sequence[Convolution]], progress: Callable[[int, int], None]) -> dict[str, list[int]]:
        """Goes through the data set; the kernels, by the name of their layer's first use, that are never active."""
        active = {same[0].layer.name: np.zeros(same[0].layer.shape[-1], bool) for same in layers}
        names = [each.activated.name for same in layers for each in same] + [each.normalized.name for each in self.chosen]
        for places, batch in self.dataset.batches():
            found = self.classifier.activations(np.asarray(batch), list(dict.fromkeys(names)))
            for same in layers:
                for each in same:
                    active[same[0].layer.name] |= found[each.activated.name].any(axis=(0, 1, 2))
            for each in self.chosen:
                name = each.layer.name
                here = strongest(found[each.normalized.name][..., self.shown[name]], places)
                both = np.concatenate([self.best[name], here], axis=1) if name in self.best else here
                order = np.argsort(-both[..., 0], axis=1, kind="stable")[:, :PATCHES]
                self.best[name] = np.take_along_axis(both, order[..., None], axis=1)
            progress(int(places[-1]) + 1, len(self.dataset))
        return {name: [int(k) for k in np.flatnonzero(~each)] for name, each in active.items()}

    def arrays(self) -> dict[str, Floats]:
        """The patches of each layer, and of the one that sees the image itself the image and the responses to it."""
        arrays: dict[str, Floats] = {}
        for each in self.chosen:
            name = each.layer.name
            arrays[f"patch/{name}"] = self._patches(name)
            if sees_the_image(self.classifier, each):
                images = np.asarray(self.dataset.pick(self.best[name][:, 0, 1].astype(int).tolist()))
                outputs = self.classifier.activations(images, [each.normalized.name])[each.normalized.name]
                arrays[f"image/{name}"] = images
                arrays[f"response/{name}"] = outputs[np.arange(len(images)), ..., self.shown[name]]
        return arrays

    def facts(self) -> dict[str, Any]:
        """For each layer its kernels, each with its patches, the strongest first, and what its units see of the image."""
        strongest = {
            name: [
                {
                    "kernel": int(kernel),
                    "patches": [
                        {
                            "image": self.dataset.names[int(place)],
                            "response": float(value),
                            "row": int(row),
                            "column": int(column),
                        }
                        for value, place, row, column in rows
                    ],
                }
                for kernel, rows in zip(self.shown[name], best, strict=True)
            ]
            for name, best in self.best.items()
        }
        fields = {name: [axis.plain() for axis in (field.rows, field.columns)] for name, field in self.fields.items()}
        return {"strongest": strongest, "field": fields}

    def _patches(self, name: str) -> Floats:
        height, width, channels = self.classifier.preprocess.shape
        field, best = self.fields[name], self.best[name]
        size = min(field.rows.size, height), min(field.columns.size, width)
        block = math.ceil(max(size) / SIDE)
        patches = np.zeros((*best.shape[:2], *(-(-side // block) for side in size), channels), np.float32)
        # Every image is read once.
        for place in np.unique(best[..., 1]):
            image = np.asarray(self.dataset.pick([int(place)]))[0]
            for kernel, rank in np.argwhere(best[..., 1] == place):
                row, column = map(int, best[kernel, rank, 2:])
                patch = field.cut(image, row, column, self.classifier.preprocess.gray)
                patches[kernel, rank] = averaged(patch.transpose(2, 0, 1), block).transpose(1, 2, 0)
        return patches


def strongest(outputs: Floats, places: Array) -> Array:
    """The largest value (K, N, 4) of each map of (N, h, w, K) in each image: value, the image's place, row and column.

    Of equal ones the first, row by row; only the `PATCHES` best of the images are given.
    """
    count, _, width, channels = outputs.shape
    flat = outputs.reshape(count, -1, channels)
    where = flat.argmax(axis=1)
    values = np.take_along_axis(flat, where[:, None], axis=1)[:, 0]
    found = np.stack(
        [values, np.broadcast_to(np.asarray(places)[:, None], values.shape), where // width, where % width], axis=-1
    )
    order = np.argsort(-values, axis=0, kind="stable")[:PATCHES]
    return np.take_along_axis(found.astype(np.float64), order[..., None], axis=0).swapaxes(0, 1)


def sees_the_image(classifier: Classifier, convolution: Convolution) -> bool:
    """Whether its kernels stand over the channels of the image itself."""
    inner, field = convolution.inner, _field(classifier, convolution)
    spans = [(size - 1) * rate + 1 for size, rate in zip(inner.kernel_size, inner.dilation_rate, strict=True)]
    # What lies before a first layer, such as a rescaling, works pixel by pixel.
    # Of an image that was enlarged it may see as many pixels, but in no regular steps.
    axes = [] if field is None else [field.rows, field.columns]
    alone = spans == [axis.size for axis in axes if isinstance(axis, Axis)]
    return alone and kernels(inner).shape[2] == classifier.preprocess.channels


def _field(classifier: Classifier, convolution: Convolution) -> Field | None:
    try:
        return classifier.receptive_field(convolution.normalized.name)
    except ModelError:
        return None
