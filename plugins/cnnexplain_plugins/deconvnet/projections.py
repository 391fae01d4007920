"""The mathematics of the deconvnet (Zeiler & Fergus 2014, arXiv:1311.2901, sections 2.1 and 4, figure 2)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnexplain import Axis, Field
from cnnexplain.errors import ModelError, UsageError
from cnnexplain.numerics import evenly_spaced
from cnnexplain.plugin import Result, opaque_layers, other_calls_warning
from cnnexplain_plugins.deconvnet import crops

if TYPE_CHECKING:
    from cnnexplain import Array, Classifier, Floats, Layer, Objective, Stream

LAYERS = 5
"""A network of more convolutions than these is deep: one layer a stage is shown, under both rules."""

SEPARABLE = ("DepthwiseConv2D", "SeparableConv2D")
"""Layers that make a network separable; it is shown as a deep one is."""

TOP = 9
"""How many of a data set's images are shown for a feature map."""

ALL, SOME = 32, 8
"""A layer with at most `ALL` feature maps is shown whole with its patches, of a larger one at least `SOME`."""

PATCH = 64
"""A patch of the data set is cut to the receptive field; where that is larger than half of the image and than so many
pixels, to the half around its middle."""


@dataclass(frozen=True)
class Peaks:
    """For each of K feature maps J units, each the strongest of its map for one image.

    Args:
        values: (K, J), their activations.
        unclipped: (K, J), by which they are ranked: the activations without the clip, where the layer has one.
        images: (K, J), the place of the image in its batch or data set.
        rows: (K, J), the unit's row in the feature map.
        columns: (K, J), its column.
    """

    values: Floats
    unclipped: Floats
    images: Array
    rows: Array
    columns: Array

    def pick(self, key: Any) -> Peaks:
        """Those that `key` picks of each array."""
        return Peaks(*(array[key] for array in self._arrays))

    def join(self, other: Peaks) -> Peaks:
        """Those of both, the other's behind."""
        return Peaks(*(np.concatenate(pair, axis=1) for pair in zip(self._arrays, other._arrays, strict=True)))

    @property
    def _arrays(self) -> tuple[Array, ...]:
        return self.values, self.unclipped, self.images, self.rows, self.columns


@dataclass(frozen=True)
class Tops:
    """What a data set excites a layer's K feature maps to.

    Args:
        peaks: The `TOP` strongest of each map.
        selectivity: (K,), how far these lie above what the map's strongest unit is like over the data set: the difference
            of the means, in standard deviations over the data set; 0 for a map that is the same for all images.
    """

    peaks: Peaks
    selectivity: Floats


@dataclass(frozen=True)
class _View:
    """A layer that is shown.

    Args:
        layer: Which.
        field: The receptive fields of its units, the whole image where they are not known.
        known: Whether they are.
        rules: Those of the rules that are defined for it, with what they do there.
    """

    layer: Layer
    field: Field
    known: bool
    rules: Mapping[str, str]

    @property
    def name(self) -> str:
        return self.layer.name


def deconvnet(
    classifier: Classifier,
    images: Floats,
    objectives: Sequence[Objective],
    dataset: Stream | None,
    progress: Callable[[int, int], None],
    *,
    layers: Sequence[str],
    rules: Sequence[str],
    maps: int | Sequence[int],
) -> Result:
    """The projections for the images, and the strongest patches of a data set; see `run`."""
    views, warnings = _views(classifier, shown_layers(classifier, layers), rules)
    warnings += [] if layers else other_calls_warning(classifier, [view.name for view in views])
    _check_maps(views, maps)
    # Of the one image that is explained nothing is the strongest.
    if dataset is not None and dataset.given and len(dataset) == 1:
        dataset = None
    done = len(images)
    # Which maps are shown with their patches is known only then.
    shares = [TOP * (view.layer.shape[-1] if view.layer.shape[-1] <= ALL else SOME) for view in views]
    total = done + (0 if dataset is None else len(dataset) + sum(shares))
    arrays, facts = _of_images(classifier, images, objectives, views, maps, lambda count: progress(count, total))
    if dataset is None:
        return Result(arrays, facts, warnings=tuple(warnings))
    tops = top(classifier, dataset, [view.layer for view in views], lambda count: progress(done + count, total))
    done += len(dataset)
    found: dict[str, Floats] = {}
    over: dict[str, Any] = {}
    for view, share in zip(views, shares, strict=True):
        chosen = _sheet(view, tops[view.name], facts["strongest"], maps)
        here, over[view.name] = _of_dataset(classifier, dataset, view, tops[view.name], chosen)
        found |= here
        done += share
        progress(done, total)
    return Result(arrays, facts, Result(found, {"over_dataset": over}), tuple(warnings))


def peaks(outputs: Floats, ranking: Floats) -> Peaks:
    """The strongest unit of each feature map of (N, h, w, K), as K × N; of equal ones the first, row by row.

    Args:
        outputs: The activations.
        ranking: Of the same shape: the larger, the stronger.
    """
    count, _, width, channels = outputs.shape
    flat = ranking.reshape(count, -1, channels)
    places = flat.argmax(axis=1)
    ranked, values = (
        np.take_along_axis(each.reshape(count, -1, channels), places[:, None], axis=1)[:, 0] for each in (ranking, outputs)
    )
    images = np.broadcast_to(np.arange(count), (channels, count))
    return Peaks(values.T, ranked.T, images, places.T // width, places.T % width)


def top(
    classifier: Classifier, dataset: Stream, layers: Sequence[Layer], progress: Callable[[int], None] = lambda _: None
) -> dict[str, Tops]:
    """For each layer the `TOP` strongest units of each feature map over a data set, of equal ones the earlier image.

    Only one batch of the data set is in memory at a time.
    """
    best: dict[str, Peaks] = {}
    moments = {layer.name: np.zeros((2, layer.shape[-1])) for layer in layers}
    count = 0
    for places, batch in dataset.batches():
        for name, (outputs, ranking) in classifier.unclipped(np.asarray(batch), [layer.name for layer in layers]).items():
            here = peaks(outputs, ranking)
            strongest = here.unclipped.astype(np.float64)
            moments[name] += strongest.sum(axis=1), (strongest**2).sum(axis=1)
            here = Peaks(here.values, here.unclipped, places[here.images], here.rows, here.columns)
            joint = here if name not in best else best[name].join(here)
            order = np.argsort(-joint.unclipped, axis=1, kind="stable")[:, :TOP]
            best[name] = joint.pick((np.arange(len(order))[:, None], order))
        count += len(places)
        progress(int(places[-1]) + 1)
    return {name: Tops(each, _selectivity(each, *(moments[name] / count))) for name, each in best.items()}


def _selectivity(best: Peaks, mean: Floats, square: Floats) -> Floats:
    deviation = np.sqrt(np.maximum(square - mean**2, 0))
    # Sums of squares leave rounding where all images are the same.
    varied = deviation > 1e-6 * np.abs(mean)
    above = best.unclipped.mean(axis=1) - mean
    return np.asarray(np.where(varied, above / np.where(varied, deviation, 1), 0), np.float32)


def is_deep(classifier: Classifier) -> bool:
    """Whether a network is deep or separable, so that one layer a stage is shown under both rules."""
    separable = any(layer.kind in SEPARABLE for layer in classifier.layers)
    return separable or len(classifier.convolutions) > LAYERS


def shown_layers(classifier: Classifier, names: Sequence[str]) -> list[Layer]:
    """The layers of these names, or those that are shown where none is named.

    Raises:
        UsageError: There is no such layer, or it has no feature maps.
        ModelError: The model has no convolutional layer.
    """
    if names:
        return [classifier.layer(name, maps=True) for name in dict.fromkeys(names)]
    found = classifier.convolutions
    if not found:
        raise ModelError(
            f"'{classifier.name}' has no convolutional layer{opaque_layers(classifier)}, and so no feature maps whose "
            "patches can be shown; choose another analysis, such as saliency."
        )
    stages = [classifier.layer(name) for name in classifier.stages]
    return stages if is_deep(classifier) and stages else evenly_spaced(found, LAYERS)


def _views(classifier: Classifier, layers: Sequence[Layer], asked: Sequence[str]) -> tuple[list[_View], list[str]]:
    """The layers for which a rule is defined, and warnings of what is left out.

    Raises:
        ModelError: There is none.
    """
    rules = asked or (("deconvnet", "guided") if is_deep(classifier) else ("deconvnet",))
    defined: dict[str, dict[str, str]] = {layer.name: {} for layer in layers}
    refused: dict[tuple[str, str], list[str]] = {}

    def ask(name: str, rule: str) -> None:
        try:
            defined[name][rule] = classifier.describe_rule(name, rule)
        except ModelError as error:
            refused.setdefault((rule, str(error)), []).append(name)

    for layer in layers:
        for rule in rules:
            ask(layer.name, rule)
        if not asked and not defined[layer.name] and "guided" not in rules:
            ask(layer.name, "guided")
    if not any(defined.values()):
        raise ModelError(next(iter(refused))[1])
    warnings = [
        f"The rule '{rule}' is left out for {', '.join(names)}: {reason}" for (rule, reason), names in refused.items()
    ]
    views = []
    for layer in (layer for layer in layers if defined[layer.name]):
        try:
            field, known = classifier.receptive_field(layer.name), True
        except ModelError as error:
            height, width = classifier.preprocess.shape[:2]
            field, known = Field(Axis(0, 0, height), Axis(0, 0, width)), False
            warnings.append(f"{error} Whole images are shown for '{layer.name}'.")
        views.append(_View(layer, field, known, defined[layer.name]))
    return views, warnings


def _check_maps(views: Sequence[_View], maps: int | Sequence[int]) -> None:
    for view in views:
        for number in [] if isinstance(maps, int) else maps:
            if not 0 <= number < view.layer.shape[-1]:
                raise UsageError(
                    f"The layer '{view.name}' has no feature map {number}: they go from 0 to {view.layer.shape[-1] - 1}. "
                    "Name layers that have it with --layer."
                )


def _of_images(
    classifier: Classifier,
    images: Floats,
    objectives: Sequence[Objective],
    views: Sequence[_View],
    maps: int | Sequence[int],
    progress: Callable[[int], None],
) -> tuple[dict[str, Floats], dict[str, list[Any]]]:
    """View (a): the projections of each layer's chosen feature maps for each image."""
    shape = images.shape[1:3]
    arrays = {}
    for view in views:
        shown = min(maps, view.layer.shape[-1]) if isinstance(maps, int) else len(maps)
        for rule in view.rules:
            form = (len(images), shown, *crops.size(view.field, shape), images.shape[-1])
            arrays[_key("projection", view, rule)] = np.zeros(form, np.float32)
    facts: dict[str, list[Any]] = {"value": [], "strongest": [], "rules": []}
    names = [view.name for view in views]
    for part in classifier.slices(len(images)):
        chunk = images[part]
        found = classifier.unclipped(chunk, names)
        values, gradients = classifier.layer_gradients(chunk, names, objectives[part])
        here: list[dict[str, Any]] = [{} for _ in chunk]
        for view in views:
            outputs, ranking = found[view.name]
            strongest = peaks(outputs, ranking)
            contributions = np.zeros(strongest.values.shape, np.float32)
            if view.name in gradients:
                contributions = (outputs * gradients[view.name]).sum(axis=(1, 2)).T
            if isinstance(maps, int):
                # Of maps that contribute the same, as where the class does not depend on the layer, the strongest.
                order = np.lexsort((-strongest.unclipped, -contributions), axis=0)[:maps].T
            else:
                order = np.tile(np.array(maps), (len(chunk), 1))
            chosen = strongest.pick((order, np.arange(len(chunk))[:, None]))
            for number, rank in np.ndindex(order.shape):
                fact = {
                    "map": int(order[number, rank]),
                    "contribution": float(contributions[order[number, rank], number]),
                    **_fact(chosen, (number, rank), view, shape, shape),
                }
                here[number].setdefault(view.name, []).append(fact)
        for rule in dict.fromkeys(rule for view in views for rule in view.rules):
            _project(classifier, chunk, here, [view for view in views if rule in view.rules], rule, arrays, part.start)
        facts["value"] += [float(value) for value in values]
        facts["strongest"] += here
        facts["rules"] += [{view.name: dict(view.rules) for view in views} for _ in chunk]
        progress(len(facts["strongest"]))
    return arrays, facts


def _project(
    classifier: Classifier,
    images: Floats,
    strongest: Sequence[Mapping[str, Sequence[Mapping[str, Any]]]],
    views: Sequence[_View],
    rule: str,
    arrays: Mapping[str, Floats],
    start: int,
) -> None:
    """Writes the projections of the chosen units of some images, which begin at `start`, into the arrays."""
    units = [
        (number, place, rank)
        for number, maps in enumerate(strongest)
        for place, view in enumerate(views)
        for rank in range(len(maps[view.name]))
    ]
    for some in classifier.slices(len(units)):
        facts = [strongest[number][views[place].name][rank] for number, place, rank in units[some]]
        signals = classifier.project_units(
            images[[number for number, _, _ in units[some]]],
            [view.name for view in views],
            np.array(
                [
                    (place, fact["row"], fact["column"], fact["map"])
                    for (_, place, _), fact in zip(units[some], facts, strict=True)
                ]
            ),
            np.array([fact["activation"] for fact in facts], np.float32),
            rule,
        )
        for (number, place, rank), fact, signal in zip(units[some], facts, signals, strict=True):
            crops.cut(signal, fact["corner"], arrays[_key("projection", views[place], rule)][start + number, rank])


def _sheet(view: _View, tops: Tops, strongest: Sequence[Mapping[str, Any]], maps: int | Sequence[int]) -> Array:
    """Which feature maps of a layer are shown with their strongest patches.

    All of a small layer; else those that are shown for the images, the most often first, and the most selective.
    """
    if not isinstance(maps, int):
        return np.array(maps)
    channels = view.layer.shape[-1]
    if channels <= ALL:
        return np.arange(channels)
    counts = Counter(fact["map"] for image in strongest for fact in image[view.name])
    selective = np.lexsort((-tops.peaks.unclipped[:, 0], -tops.selectivity))
    order = dict.fromkeys([*(number for number, _ in counts.most_common()), *map(int, selective)])
    return np.array([*order][: max(maps, SOME)])


def _of_dataset(
    classifier: Classifier, dataset: Stream, view: _View, tops: Tops, shown: Array
) -> tuple[dict[str, Floats], list[dict[str, Any]]]:
    """View (b): what the layer's feature maps see at their strongest activations, and its projections."""
    height, width, channels = classifier.preprocess.shape
    shape = height, width
    most = min(height, max(PATCH, height // 2)), min(width, max(PATCH, width // 2))
    chosen = tops.peaks.pick(shown)
    size = (*chosen.values.shape, *crops.size(view.field, most), channels)
    patches = np.full(size, classifier.preprocess.gray, np.float32)
    projections = {rule: np.zeros(size, np.float32) for rule in view.rules}
    names = dataset.names
    facts = [
        {
            "map": int(number),
            "selectivity": float(tops.selectivity[number]),
            "strongest": [
                {
                    "image": names[int(chosen.images[each, rank])],
                    **_fact(chosen, (each, rank), view, shape, most),
                    "inside": {},
                }
                for rank in range(chosen.values.shape[1])
            ],
        }
        for each, number in enumerate(shown)
    ]
    units = [(each, rank) for each in range(len(shown)) for rank in range(chosen.values.shape[1])]
    for part in classifier.slices(len(units)):
        each, ranks = np.array(units[part]).T
        picked = chosen.pick((each, ranks))
        images = np.asarray(dataset.pick([int(place) for place in picked.images]))
        seeds = _seeds(view.layer, shown[each], picked)
        signals = {rule: classifier.project(images, view.name, seeds, rule) for rule in view.rules}
        for number, (one, rank) in enumerate(zip(each, ranks, strict=True)):
            fact = facts[one]["strongest"][rank]
            crops.cut(images[number], fact["corner"], patches[one, rank])
            for rule, signal in signals.items():
                crops.cut(signal[number], fact["corner"], projections[rule][one, rank])
                whole = float((signal[number].astype(np.float64) ** 2).sum())
                kept = float((projections[rule][one, rank].astype(np.float64) ** 2).sum())
                fact["inside"][rule] = kept / whole if whole else 1.0
    arrays = {f"patch/{view.name}": patches}
    arrays |= {_key("patch_projection", view, rule): projections[rule] for rule in view.rules}
    return arrays, facts


def _seeds(layer: Layer, maps: Array, picked: Peaks) -> Floats:
    """(N, *shape of the layer): for each image one activation of one feature map, zero elsewhere."""
    seeds = np.zeros((len(maps), *layer.shape), np.float32)
    seeds[np.arange(len(maps)), picked.rows, picked.columns, maps] = picked.values
    return seeds


def _fact(found: Peaks, key: tuple[int, int], view: _View, shape: Sequence[int], most: Sequence[int]) -> dict[str, Any]:
    """What is told of a unit: its activation and place, what it sees, and where its crop begins."""
    row, column = int(found.rows[key]), int(found.columns[key])
    field = None
    if view.known:
        seen = view.field.rows.slice(row, shape[0]), view.field.columns.slice(column, shape[1])
        field = [[each.start, each.stop] for each in seen]
    return {
        "activation": float(found.values[key]),
        "unclipped": float(found.unclipped[key]),
        "row": row,
        "column": column,
        "field": field,
        "middle": list(crops.middle(view.field, row, column, shape)) if view.known else None,
        "corner": list(crops.corner(view.field, row, column, shape, most)),
    }


def _key(what: str, view: _View, rule: str) -> str:
    return f"{what}/{view.name}/{rule}"
