"""Projections of feature maps to the pixels of the images (Zeiler & Fergus 2014, arXiv:1311.2901, section 2.1)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnexplain.plugin import Result, other_calls_warning
from cnnexplain_plugins.deconvnet import crops
from cnnexplain_plugins.deconvnet.layers import check_maps, is_deep, select_layers, with_rules
from cnnexplain_plugins.deconvnet.patches import ALL, SOME, select_maps, strongest_patches
from cnnexplain_plugins.deconvnet.peaks import TOP, locate, strongest_images, strongest_units, unit_facts

if TYPE_CHECKING:
    from jaxtyping import Float32

    from cnnexplain import Classifier, Objective, Stream
    from cnnexplain_plugins.deconvnet.layers import ShownLayer


def deconvnet(
    classifier: Classifier,
    images: Float32[np.ndarray, "N H W C"],
    objectives: Sequence[Objective],
    dataset: Stream | None,
    progress: Callable[[int, int], None],
    *,
    layers: Sequence[str],
    rules: Sequence[str],
    maps: int | Sequence[int],
) -> Result:
    """The projections for the images, and the strongest patches of a data set; see `run`."""
    shown, warnings = with_rules(classifier, select_layers(classifier, layers), rules)
    warnings += [] if layers else other_calls_warning(classifier, [layer.name for layer in shown])
    check_maps(shown, maps)
    # A data set that consists of the one image explained has no strongest images.
    if dataset is not None and dataset.given and len(dataset) == 1:
        dataset = None
    done = len(images)
    # An estimate: which maps are shown with their patches is not known before the data set has been read.
    shares = [TOP * (layer.channels if layer.channels <= ALL else SOME) for layer in shown]
    total = done + (0 if dataset is None else len(dataset) + sum(shares))
    arrays, facts = _image_projections(classifier, images, objectives, shown, maps, lambda count: progress(count, total))
    if dataset is None:
        return Result(arrays, facts, warnings=tuple(warnings))
    peaks = strongest_images(
        classifier, dataset, [layer.layer for layer in shown], lambda count: progress(done + count, total)
    )
    done += len(dataset)
    dataset_arrays: dict[str, Any] = {}
    dataset_facts: dict[str, Any] = {}
    selected = {layer.name: select_maps(layer, peaks[layer.name], facts["strongest"], maps) for layer in shown}
    units = locate(classifier, dataset, peaks, selected)
    for layer, share in zip(shown, shares, strict=True):
        name = layer.name
        patches, dataset_facts[name] = strongest_patches(
            classifier, dataset, layer, selected[name], units[name], peaks[name].selectivity
        )
        dataset_arrays |= patches
        done += share
        progress(done, total)
    return Result(arrays, facts, Result(dataset_arrays, {"over_dataset": dataset_facts}), tuple(warnings))


def _image_projections(
    classifier: Classifier,
    images: Float32[np.ndarray, "N H W C"],
    objectives: Sequence[Objective],
    layers: Sequence[ShownLayer],
    maps: int | Sequence[int],
    progress: Callable[[int], None],
) -> tuple[dict[str, Float32[np.ndarray, "N maps h w C"]], dict[str, list[Any]]]:
    """The arrays `projection/…` of each layer's selected feature maps, and the facts of each image; see `run`."""
    shape = images.shape[1:3]
    arrays = {}
    for layer in layers:
        count = min(maps, layer.channels) if isinstance(maps, int) else len(maps)
        for rule in layer.rules:
            size = (len(images), count, *crops.size(layer.field, shape), images.shape[-1])
            arrays[_key(layer, rule)] = np.zeros(size, np.float32)
    facts: dict[str, list[Any]] = {"value": [], "strongest": [], "rules": []}
    names = [layer.name for layer in layers]
    for part in classifier.slices(len(images)):
        batch = images[part]
        activations = classifier.unclipped(batch, names)
        values, gradients = classifier.layer_gradients(batch, names, objectives[part])
        strongest: list[dict[str, Any]] = [{} for _ in batch]
        for layer in layers:
            outputs, ranking = activations[layer.name]
            units = strongest_units(outputs, ranking)
            contributions = np.zeros(units.values.shape, np.float32)
            if layer.name in gradients:
                contributions = (outputs * gradients[layer.name]).sum(axis=(1, 2)).T
            if isinstance(maps, int):
                # Maps with equal contributions, as when the score does not depend on the layer, are ranked by strength.
                order = np.lexsort((-units.unclipped, -contributions), axis=0)[:maps].T
            else:
                order = np.tile(np.array(maps), (len(batch), 1))
            selected = units.select((order, np.arange(len(batch))[:, None]))
            for number, rank in np.ndindex(order.shape):
                fact = {
                    "map": int(order[number, rank]),
                    "contribution": float(contributions[order[number, rank], number]),
                    **unit_facts(selected, (number, rank), layer, shape, shape),
                }
                strongest[number].setdefault(layer.name, []).append(fact)
        for rule in dict.fromkeys(rule for layer in layers for rule in layer.rules):
            for group in _by_depth(classifier, [layer for layer in layers if rule in layer.rules]):
                _project(classifier, batch, strongest, group, rule, arrays, part.start)
        facts["value"] += [float(value) for value in values]
        facts["strongest"] += strongest
        facts["rules"] += [{layer.name: dict(layer.rules) for layer in layers} for _ in batch]
        progress(len(facts["strongest"]))
    return arrays, facts


SIMILAR = 0.6
"""Layers whose depths differ at most by this factor share a compiled function."""


def _by_depth(classifier: Classifier, layers: Sequence[ShownLayer]) -> list[list[ShownLayer]]:
    """Groups of layers of similar depth, each of which is projected by one compiled function.

    The function computes the network up to the deepest layer of its group for all units. Compiling one for each layer would
    take longer than that saves, and so would several in a network that is not deep.
    """
    if not is_deep(classifier):
        return [list(layers)]
    depths = {each.name: place for place, each in enumerate(classifier.layers, start=1)}
    groups: list[list[ShownLayer]] = []
    for layer in sorted(layers, key=lambda layer: -depths.get(layer.name, len(depths))):
        deepest = groups[-1][0] if groups else None
        if deepest and depths.get(layer.name, len(depths)) >= SIMILAR * depths.get(deepest.name, len(depths)):
            groups[-1].append(layer)
        else:
            groups.append([layer])
    return groups


def _project(
    classifier: Classifier,
    images: Float32[np.ndarray, "N H W C"],
    strongest: Sequence[Mapping[str, Sequence[Mapping[str, Any]]]],
    layers: Sequence[ShownLayer],
    rule: str,
    arrays: Mapping[str, Float32[np.ndarray, "images maps h w C"]],
    start: int,
) -> None:
    """Writes the projections of the selected units of a batch of images, which begins at index `start`, into `arrays`."""
    units = [
        (number, place, rank)
        for number, maps in enumerate(strongest)
        for place, layer in enumerate(layers)
        for rank in range(len(maps[layer.name]))
    ]
    for part in classifier.slices(len(units)):
        facts = [strongest[number][layers[place].name][rank] for number, place, rank in units[part]]
        signals = classifier.project_units(
            images[[number for number, _, _ in units[part]]],
            [layer.name for layer in layers],
            np.array(
                [
                    (place, fact["row"], fact["column"], fact["map"])
                    for (_, place, _), fact in zip(units[part], facts, strict=True)
                ]
            ),
            np.array([fact["activation"] for fact in facts], np.float32),
            rule,
        )
        for (number, place, rank), fact, signal in zip(units[part], facts, signals, strict=True):
            crops.cut(signal, fact["corner"], arrays[_key(layers[place], rule)][start + number, rank])


def _key(layer: ShownLayer, rule: str) -> str:
    return f"projection/{layer.name}/{rule}"
