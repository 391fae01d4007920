"""The convolutions of a model: their kernels, those that do nothing or repeat another, and what they match in a data set."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnexplain.errors import ModelError, UsageError, suggest
from cnnexplain.plugin import Result, opaque_layers, other_calls_warning
from cnnexplain_plugins.filters import kernels
from cnnexplain_plugins.filters.patches import Search, sees_the_image

if TYPE_CHECKING:
    from cnnexplain import Classifier, Convolution, Floats, Stream

LAYERS = 6
"""So many convolutions are all shown where none is named."""

ALL, FIRST = "all", "first"
"""The words for every convolution, and for the one that sees the image."""


def filters(
    classifier: Classifier,
    dataset: Stream | None,
    progress: Callable[[int, int], None],
    names: Sequence[str],
    most: int,
) -> Result:
    """The kernels, and what they match best; see `run`."""
    # A layer that is used twice has one set of kernels, which is dead where it is so in both places.
    layers: dict[int, list[Convolution]] = {}
    for each in classifier.filters:
        layers.setdefault(id(each.inner), []).append(each)
    if not layers:
        raise ModelError(
            f"'{classifier.name}' has no convolution over rows and columns{opaque_layers(classifier)}, and so no kernels to "
            "show; choose another analysis, such as activation-maximization."
        )
    found = {same[0].layer.name: kernels.kernels(same[0].inner) for same in layers.values()}
    chosen = _chosen(classifier, [same[0] for same in layers.values()], names)
    norms = {name: kernels.norms(kernel) for name, kernel in found.items()}
    shown = {each.layer.name: _largest(norms[each.layer.name], most) for each in chosen}
    never: dict[str, list[int]] = {}
    arrays: dict[str, Floats] = {}
    for name in shown:
        arrays |= {f"kernel/{name}": found[name], f"norm/{name}": norms[name]}
    facts: dict[str, Any] = {}
    if dataset is not None:
        search = Search(classifier, dataset, chosen, shown)
        never = search.run(list(layers.values()), progress)
        arrays |= search.arrays()
        facts |= search.facts()
    dead = {name: kernels.dead(kernel) for name, kernel in found.items()}
    twice = {
        same[0].layer.name: kernels.duplicates(kernel, kernels.first_channels(same[0].inner, kernel))
        for same, kernel in zip(layers.values(), found.values(), strict=True)
    }
    rows = [
        {
            **_row(same[0], found[name], norms[name], dead[name], twice[name], never),
            "of_image": sees_the_image(classifier, same[0]),
        }
        for same in layers.values()
        for name in [same[0].layer.name]
    ]
    facts |= {"layers": rows, "shown": shown, "dead": _some(dead), "duplicates": _some(twice), "never_active": _some(never)}
    return Result(arrays, facts, warnings=tuple(other_calls_warning(classifier, list(shown))))


def _chosen(classifier: Classifier, layers: Sequence[Convolution], names: Sequence[str]) -> list[Convolution]:
    """The convolutions named; where none is, all of a few, else the first and the last one of each stage."""
    known = {FIRST: layers[0], **{each.layer.name: each for each in layers}}
    for name in names:
        if name not in known and name != ALL:
            raise UsageError(
                f"The model has no convolution '{name}'.{suggest(name, known)} Its convolutions are {', '.join(known)}."
            )
    if ALL in names or (not names and len(layers) <= LAYERS):
        return list(layers)
    if names:
        return list({known[name].layer.name: known[name] for name in names}.values())
    order = {layer.name: place for place, layer in enumerate(classifier.layers)}
    lasts = [
        max((each for each in layers if order[each.layer.name] <= order[end]), key=lambda each: order[each.layer.name])
        for end in classifier.stages
    ]
    return list({each.layer.name: each for each in [layers[0], *lasts]}.values())


def _largest(norms: Floats, most: int) -> list[int]:
    """The kernels with the largest norms, in the order of channels."""
    whole = np.linalg.norm(norms, axis=1)
    return sorted(np.argsort(-whole, kind="stable")[:most].tolist())


def _row(
    convolution: Convolution,
    kernel: Floats,
    norms: Floats,
    dead: Sequence[int],
    twice: Sequence[Sequence[int]],
    never: Mapping[str, Sequence[int]],
) -> dict[str, Any]:
    inner, name, whole = convolution.inner, convolution.layer.name, np.linalg.norm(norms, axis=1)
    first = kernels.first_channels(inner, kernel)
    return {
        "name": name,
        "kind": convolution.layer.kind,
        "kernel": _size(inner, kernel),
        "kernels": kernel.shape[3],
        "channels": kernel.shape[2],
        "groups": len(set(first.tolist())),
        "norm": f"{whole.min():.3g} to {whole.max():.3g}",
        "dead": len(dead),
        "duplicates": len(twice),
        "never_active": len(never[name]) if name in never else None,
    }


def _size(inner: Any, kernel: Floats) -> str:
    """Such as "3×3", or "3×3, dilated to 5×5"."""
    taps = "×".join(map(str, kernel.shape[:2]))
    rates = inner.dilation_rate
    wide = "×".join(str((size - 1) * rate + 1) for size, rate in zip(kernel.shape[:2], rates, strict=True))
    return taps if wide == taps else f"{taps}, dilated to {wide}"


def _some(by_layer: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
    """Those of the layers that have any."""
    return {name: each for name, each in by_layer.items() if each}
