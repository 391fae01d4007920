"""Searches a data set for the patches to which kernels respond most, and for kernels that are never active."""

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
    from jaxtyping import Float, Float32, Float64, Int

    from cnnexplain import Classifier, Convolution, Field, Stream

PATCHES = 4
"""The number of patches kept for each kernel, one from each image."""

SIDE = 64
"""Maximum side of a patch; larger ones are averaged over blocks of pixels."""


class Search:
    """The strongest patches of some kernels in a data set, with only one batch in memory at a time.

    Args:
        classifier: The model.
        dataset: The data set to search.
        selected: The convolutions whose patches are searched.
        shown: For each of them, by name, the indices of the kernels.
    """

    def __init__(
        self,
        classifier: Classifier,
        dataset: Stream,
        selected: Sequence[Convolution],
        shown: Mapping[str, Sequence[int]],
    ) -> None:
        self.classifier = classifier
        self.dataset = dataset
        self.shown = shown
        # There are no patches if the receptive fields are unknown.
        self.fields = {
            each.layer.name: field for each in selected if (field := _receptive_field(classifier, each)) is not None
        }
        self.selected = [each for each in selected if each.layer.name in self.fields]
        self.best: dict[str, Float64[np.ndarray, "K P 4"]] = {}
        """The best responses of each kernel: response, index of the image, row and column; at most `PATCHES`."""

    def run(self, layers: Sequence[Sequence[Convolution]], progress: Callable[[int, int], None]) -> dict[str, list[int]]:
        """Searches the data set.

        Args:
            layers: The layers of the model, each as a list of its calls.
            progress: Called with the number of images done and in total.

        Returns:
            The kernels of each layer, by the name of its first call, that are never active.
        """
        active = {calls[0].layer.name: np.zeros(calls[0].layer.shape[-1], bool) for calls in layers}
        names = [each.activated.name for calls in layers for each in calls]
        names += [each.normalized.name for each in self.selected]
        for places, batch in self.dataset.batches():
            outputs = self.classifier.activations(np.asarray(batch), list(dict.fromkeys(names)))
            for calls in layers:
                for each in calls:
                    active[calls[0].layer.name] |= outputs[each.activated.name].any(axis=(0, 1, 2))
            for each in self.selected:
                name = each.layer.name
                peaks = strongest(outputs[each.normalized.name][..., self.shown[name]], places)
                joint = np.concatenate([self.best[name], peaks], axis=1) if name in self.best else peaks
                order = np.argsort(-joint[..., 0], axis=1, kind="stable")[:, :PATCHES]
                self.best[name] = np.take_along_axis(joint, order[..., None], axis=1)
            progress(int(places[-1]) + 1, len(self.dataset))
        return {name: [int(k) for k in np.flatnonzero(~each)] for name, each in active.items()}

    def arrays(self) -> dict[str, Float32[np.ndarray, " ..."]]:
        """The patches of each layer; for a layer that sees the image itself, also the image and the responses to it."""
        arrays: dict[str, Float32[np.ndarray, " ..."]] = {}
        for each in self.selected:
            name = each.layer.name
            arrays[f"patch/{name}"] = self._patches(name)
            if sees_the_image(self.classifier, each):
                images = np.asarray(self.dataset.pick(self.best[name][:, 0, 1].astype(int).tolist()))
                outputs = self.classifier.activations(images, [each.normalized.name])[each.normalized.name]
                arrays[f"image/{name}"] = images
                arrays[f"response/{name}"] = outputs[np.arange(len(images)), ..., self.shown[name]]
        return arrays

    def facts(self) -> dict[str, Any]:
        """For each layer its kernels, each with its patches, the strongest first, and the receptive fields of its units."""
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

    def _patches(self, name: str) -> Float32[np.ndarray, "K P h w C"]:
        height, width, channels = self.classifier.preprocess.shape
        field, best = self.fields[name], self.best[name]
        size = min(field.rows.size, height), min(field.columns.size, width)
        block = math.ceil(max(size) / SIDE)
        patches = np.zeros((*best.shape[:2], *(-(-side // block) for side in size), channels), np.float32)
        # Each image is read only once.
        for place in np.unique(best[..., 1]):
            image = np.asarray(self.dataset.pick([int(place)]))[0]
            for kernel, rank in np.argwhere(best[..., 1] == place):
                row, column = map(int, best[kernel, rank, 2:])
                patch = field.cut(image, row, column, self.classifier.preprocess.gray)
                patches[kernel, rank] = averaged(patch.transpose(2, 0, 1), block).transpose(1, 2, 0)
        return patches


def strongest(outputs: Float[np.ndarray, "N h w K"], places: Int[np.ndarray, " N"]) -> Float64[np.ndarray, "K P 4"]:
    """The largest value of each feature map in the `PATCHES` images where it is largest.

    Args:
        outputs: The feature maps.
        places: The indices of the images in the data set.

    Returns:
        Value, index of the image, row and column; among equal values the first, row by row.
    """
    count, _, width, channels = outputs.shape
    flat = outputs.reshape(count, -1, channels)
    units = flat.argmax(axis=1)
    values = np.take_along_axis(flat, units[:, None], axis=1)[:, 0]
    images = np.broadcast_to(np.asarray(places)[:, None], values.shape)
    peaks = np.stack([values, images, units // width, units % width], axis=-1)
    order = np.argsort(-values, axis=0, kind="stable")[:PATCHES]
    return np.take_along_axis(peaks.astype(np.float64), order[..., None], axis=0).swapaxes(0, 1)


def sees_the_image(classifier: Classifier, convolution: Convolution) -> bool:
    """Whether the input of a convolution is the image itself."""
    inner, field = convolution.inner, _receptive_field(classifier, convolution)
    spans = [(size - 1) * rate + 1 for size, rate in zip(inner.kernel_size, inner.dilation_rate, strict=True)]
    # Layers before the first convolution, such as a rescaling, work pixel by pixel. After a resizing, units may see as many
    # pixels as the kernel spans, but not at regular steps.
    axes = [] if field is None else [field.rows, field.columns]
    pixels_only = spans == [axis.size for axis in axes if isinstance(axis, Axis)]
    return pixels_only and kernels(inner).shape[2] == classifier.preprocess.channels


def _receptive_field(classifier: Classifier, convolution: Convolution) -> Field | None:
    try:
        return classifier.receptive_field(convolution.normalized.name)
    except ModelError:
        return None
