"""The mathematics of the deconvnet (Zeiler & Fergus 2014, arXiv:1311.2901, sections 2.1 and 4, figure 2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnexplain.classifier import from_all_depths
from cnnexplain.errors import ModelError
from cnnexplain.geometry import Axis, Field
from cnnexplain.plugin import Result

if TYPE_CHECKING:
    from cnnexplain.arrays import Array, Floats
    from cnnexplain.classifier import Classifier, Layer
    from cnnexplain.stream import Stream

LAYERS = 5
"""How many layers are shown when none is named."""

TOP = 9
"""How many of a data set's images are shown for a feature map."""

ALL, SOME = 32, 16
"""A layer with at most `ALL` feature maps is shown whole with its patches, a larger one by the `SOME` with the strongest."""


@dataclass(frozen=True)
class Peaks:
    """Activations by value: for each of K feature maps the J strongest, each the largest of its map for one image.

    Args:
        values: (K, J).
        images: (K, J), the place of the image in its batch or data set.
        rows: (K, J), the unit's row in the feature map.
        columns: (K, J), its column.
    """

    values: Floats
    images: Array
    rows: Array
    columns: Array

    def pick(self, key: Any) -> Peaks:
        """Those that `key` picks of each array."""
        return Peaks(self.values[key], self.images[key], self.rows[key], self.columns[key])


def deconvnet(
    classifier: Classifier,
    images: Floats,
    dataset: Stream | None,
    progress: Callable[[int, int], None],
    *,
    layers: Sequence[str],
    rules: Sequence[str],
    maps: int,
) -> Result:
    """The projections for the images, and the strongest patches of a data set; see `cnnexplain_deconvnet.run`."""
    shown = _layers(classifier, layers)
    # A network whose layers the rules don't fit is refused before the data set is looked through.
    for layer in shown:
        for rule in rules:
            classifier.project(images[:1], layer.name, np.zeros((1, *layer.shape), np.float32), rule)
    patches = TOP * sum(map(_maps, shown))
    total = len(images) + (0 if dataset is None else len(dataset) + patches)
    fields = {layer.name: _field(classifier, layer) for layer in shown}
    arrays, strongest = _of_images(classifier, images, shown, fields, rules, maps, lambda done: progress(done, total))
    if dataset is None:
        return Result(arrays, {"strongest": strongest})
    tops = top(classifier, dataset, shown, lambda done: progress(len(images) + done, total))
    overview, warnings, done = Result({}, {"over_dataset": {}}), [], total - patches
    for layer in shown:
        found, facts, warning = _of_dataset(classifier, dataset, layer, tops[layer.name], rules)
        overview = Result(
            {**overview.arrays, **found}, {"over_dataset": {**overview.facts["over_dataset"], layer.name: facts}}
        )
        warnings += warning
        done += TOP * _maps(layer)
        progress(done, total)
    return Result(arrays, {"strongest": strongest}, overview, tuple(warnings))


def peaks(activations: Floats) -> Peaks:
    """The largest activation of each feature map of (N, h, w, K), as K × N; of equal ones the first, row by row."""
    count, _, width, channels = activations.shape
    flat = activations.reshape(count, -1, channels)
    places = flat.argmax(axis=1)
    values = np.take_along_axis(flat, places[:, None], axis=1)[:, 0]
    images = np.broadcast_to(np.arange(count), (channels, count))
    return Peaks(values.T, images, places.T // width, places.T % width)


def top(
    classifier: Classifier, dataset: Stream, layers: Sequence[Layer], progress: Callable[[int], None] = lambda _: None
) -> dict[str, Peaks]:
    """For each layer the `TOP` strongest activations of each feature map over a data set, of equal ones the earlier image.

    Only one batch of the data set is in memory at a time.
    """
    best: dict[str, Peaks] = {}
    for places, batch in dataset.batches():
        found = classifier.activations(np.asarray(batch), [layer.name for layer in layers])
        for name, activations in found.items():
            here = peaks(activations)
            here = Peaks(here.values, places[here.images], here.rows, here.columns)
            joint = here if name not in best else _joined(best[name], here)
            order = np.argsort(-joint.values, axis=1, kind="stable")[:, :TOP]
            best[name] = joint.pick((np.arange(len(order))[:, None], order))
        progress(int(places[-1]) + 1)
    return best


def _joined(a: Peaks, b: Peaks) -> Peaks:
    pairs = ((a.values, b.values), (a.images, b.images), (a.rows, b.rows), (a.columns, b.columns))
    return Peaks(*(np.concatenate(pair, axis=1) for pair in pairs))


def _layers(classifier: Classifier, names: Sequence[str]) -> list[Layer]:
    if names:
        return [classifier.layer(name, maps=True) for name in dict.fromkeys(names)]
    found = classifier.convolutions
    if not found:
        raise ModelError(
            f"'{classifier.name}' has no convolutional layer, and so no feature maps whose patches can be shown."
        )
    return from_all_depths(found, LAYERS)


def _of_images(
    classifier: Classifier,
    images: Floats,
    layers: Sequence[Layer],
    fields: Mapping[str, Field | None],
    rules: Sequence[str],
    maps: int,
    progress: Callable[[int], None],
) -> tuple[dict[str, Floats], list[dict[str, Any]]]:
    """View (a): the projections of each layer's strongest feature maps for each image."""
    arrays = {
        _key("projection", layer, rule): np.zeros((len(images), min(maps, layer.shape[-1]), *images.shape[1:]), np.float32)
        for layer in layers
        for rule in rules
    }
    facts: list[dict[str, Any]] = []
    for part in classifier.slices(len(images)):
        chunk = images[part]
        activations = classifier.activations(chunk, [layer.name for layer in layers])
        here: list[dict[str, Any]] = [{} for _ in chunk]
        for layer in layers:
            found = peaks(activations[layer.name])
            # Of maps that are equally strong, as at the ceiling of a ReLU6, those that are active the most.
            order = np.lexsort((-activations[layer.name].sum(axis=(1, 2)).T, -found.values), axis=0)[:maps]
            strongest = found.pick((order.T, np.arange(len(chunk))[:, None]))
            for rank in range(order.shape[0]):
                seeds = _seeds(layer, order[rank], strongest.pick((slice(None), rank)))
                for rule in rules:
                    projected = classifier.project(chunk, layer.name, seeds, rule)
                    arrays[_key("projection", layer, rule)][part, rank] = projected
            for number, fact in enumerate(here):
                fact[layer.name] = [
                    {
                        "map": int(order[rank, number]),
                        **_fact(strongest, (number, rank)),
                        "field": _pixels(fields[layer.name], strongest, (number, rank), images.shape[1:3]),
                    }
                    for rank in range(order.shape[0])
                ]
        facts += here
        progress(len(facts))
    return arrays, facts


def _of_dataset(
    classifier: Classifier, dataset: Stream, layer: Layer, best: Peaks, rules: Sequence[str]
) -> tuple[dict[str, Floats], list[dict[str, Any]], list[str]]:
    """View (b): what the layer's feature maps see at their strongest activations, and its projections."""
    height, width, channels = classifier.preprocess.shape
    warnings = []
    try:
        field = classifier.receptive_field(layer.name)
    except ModelError as error:
        field = Field(Axis(0, 0, height), Axis(0, 0, width))
        warnings.append(f"{error} Whole images are shown for '{layer.name}'.")
    shown = np.sort(np.argsort(-best.values[:, 0], kind="stable")[: _maps(layer)])
    chosen = best.pick(shown)
    size = (*chosen.values.shape, min(field.rows.size, height), min(field.columns.size, width), channels)
    patches = np.full(size, classifier.preprocess.grey, np.float32)
    projections = {rule: np.zeros(size, np.float32) for rule in rules}
    units = [(each, rank) for each in range(len(shown)) for rank in range(chosen.values.shape[1])]
    for part in classifier.slices(len(units)):
        each, ranks = np.array(units[part]).T
        picked = chosen.pick((each, ranks))
        images = np.asarray(dataset.pick([int(place) for place in picked.images]))
        seeds = _seeds(layer, shown[each], picked)
        signals = {rule: classifier.project(images, layer.name, seeds, rule) for rule in rules}
        for number, (one, rank) in enumerate(zip(each, ranks, strict=True)):
            inside, place = _window(field, int(picked.rows[number]), int(picked.columns[number]), (height, width))
            patches[(one, rank, *place)] = images[(number, *inside)]
            for rule, signal in signals.items():
                projections[rule][(one, rank, *place)] = signal[(number, *inside)]
    names = dataset.names
    facts = [
        {
            "map": int(number),
            "strongest": [
                {"image": names[int(chosen.images[each, rank])], **_fact(chosen, (each, rank))}
                for rank in range(chosen.values.shape[1])
            ],
        }
        for each, number in enumerate(shown)
    ]
    arrays = {f"patch/{layer.name}": patches}
    arrays |= {_key("patch_projection", layer, rule): projections[rule] for rule in rules}
    return arrays, facts, warnings


def _window(field: Field, row: int, column: int, shape: tuple[int, int]) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """The pixels of an image that a unit sees, and where they lie in its patch."""
    inside, place = [], []
    for axis, unit, length in ((field.rows, row, shape[0]), (field.columns, column, shape[1])):
        pixels = axis.slice(unit, length)
        # A field larger than the image has a patch of the image's own size.
        first = axis.start + unit * axis.step if axis.size <= length else 0
        inside.append(pixels)
        place.append(slice(pixels.start - first, pixels.stop - first))
    return (inside[0], inside[1]), (place[0], place[1])


def _field(classifier: Classifier, layer: Layer) -> Field | None:
    """The receptive fields of a layer's units; None where they are not known."""
    try:
        return classifier.receptive_field(layer.name)
    except ModelError:
        return None


def _pixels(field: Field | None, found: Peaks, key: tuple[int, int], shape: Sequence[int]) -> list[list[int]] | None:
    """The rows and the columns of the image that a unit sees, each from the first up to, not including, the last."""
    if field is None:
        return None
    seen = field.rows.slice(int(found.rows[key]), shape[0]), field.columns.slice(int(found.columns[key]), shape[1])
    return [[each.start, each.stop] for each in seen]


def _maps(layer: Layer) -> int:
    """How many of a layer's feature maps are shown with their patches."""
    return layer.shape[-1] if layer.shape[-1] <= ALL else SOME


def _seeds(layer: Layer, maps: Array, picked: Peaks) -> Floats:
    """(N, *shape of the layer): for each image one activation of one feature map, zero elsewhere."""
    seeds = np.zeros((len(maps), *layer.shape), np.float32)
    seeds[np.arange(len(maps)), picked.rows, picked.columns, maps] = picked.values
    return seeds


def _fact(found: Peaks, key: tuple[int, int]) -> dict[str, Any]:
    return {"activation": float(found.values[key]), "row": int(found.rows[key]), "column": int(found.columns[key])}


def _key(what: str, layer: Layer, rule: str) -> str:
    return f"{what}/{layer.name}/{rule}"
