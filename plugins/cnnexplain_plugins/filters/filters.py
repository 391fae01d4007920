"""The convolutions of a model: their kernels, dead and duplicate ones, and the patches of a data set that they match."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnexplain.errors import ModelError, UsageError, suggest
from cnnexplain.plugin import Result, opaque_layers, other_calls_warning
from cnnexplain_plugins.filters import kernels
from cnnexplain_plugins.filters.patches import Search, sees_the_image

if TYPE_CHECKING:
    from jaxtyping import Float32

    from cnnexplain import Classifier, Convolution, Stream

LAYERS = 6
"""All convolutions are shown by default if there are at most this number."""

ALL, FIRST = "all", "first"
"""The values of an option that select every convolution, and the first one."""


def filters(
    classifier: Classifier,
    dataset: Stream | None,
    progress: Callable[[int, int], None],
    names: Sequence[str],
    max_kernels: int,
) -> Result:
    """The kernels, and the patches that they match best; see `run`."""
    # A layer that is called several times has one set of kernels. A kernel is never active if it is so in all calls.
    layers: dict[int, list[Convolution]] = {}
    for convolution in classifier.filters:
        layers.setdefault(id(convolution.inner), []).append(convolution)
    if not layers:
        raise ModelError(
            f"'{classifier.name}' has no convolution over rows and columns{opaque_layers(classifier)}, and so no kernels to "
            "show; choose another analysis, such as activation-maximization."
        )
    layer_kernels = {calls[0].layer.name: kernels.kernels(calls[0].inner) for calls in layers.values()}
    selected = _select(classifier, [calls[0] for calls in layers.values()], names)
    norms = {name: kernels.norms(kernel) for name, kernel in layer_kernels.items()}
    shown = {each.layer.name: _largest(norms[each.layer.name], max_kernels) for each in selected}
    never_active: dict[str, list[int]] = {}
    arrays: dict[str, Float32[np.ndarray, " ..."]] = {}
    for name in shown:
        arrays |= {f"kernel/{name}": layer_kernels[name], f"norm/{name}": norms[name]}
    facts: dict[str, Any] = {}
    if dataset is not None:
        search = Search(classifier, dataset, selected, shown)
        never_active = search.run(list(layers.values()), progress)
        arrays |= search.arrays()
        facts |= search.facts()
    dead = {name: kernels.dead(kernel) for name, kernel in layer_kernels.items()}
    duplicates = {
        calls[0].layer.name: kernels.duplicates(kernel, kernels.first_channels(calls[0].inner, kernel))
        for calls, kernel in zip(layers.values(), layer_kernels.values(), strict=True)
    }
    rows = [
        {
            **_row(calls[0], layer_kernels[name], norms[name], dead[name], duplicates[name], never_active),
            "of_image": sees_the_image(classifier, calls[0]),
        }
        for calls in layers.values()
        for name in [calls[0].layer.name]
    ]
    facts |= {
        "layers": rows,
        "shown": shown,
        "dead": _nonempty(dead),
        "duplicates": _nonempty(duplicates),
        "never_active": _nonempty(never_active),
    }
    return Result(arrays, facts, warnings=tuple(other_calls_warning(classifier, list(shown))))


def _select(classifier: Classifier, layers: Sequence[Convolution], names: Sequence[str]) -> list[Convolution]:
    """The convolutions with these names; without names, all if there are few, or the first and the last of each stage."""
    by_name = {FIRST: layers[0], **{each.layer.name: each for each in layers}}
    for name in names:
        if name not in by_name and name != ALL:
            raise UsageError(
                f"The model has no convolution '{name}'.{suggest(name, by_name)} Its convolutions are {', '.join(by_name)}."
            )
    if ALL in names or (not names and len(layers) <= LAYERS):
        return list(layers)
    if names:
        return list({by_name[name].layer.name: by_name[name] for name in names}.values())
    order = {layer.name: place for place, layer in enumerate(classifier.layers)}
    lasts = [
        max((each for each in layers if order[each.layer.name] <= order[end]), key=lambda each: order[each.layer.name])
        for end in classifier.stages
    ]
    return list({each.layer.name: each for each in [layers[0], *lasts]}.values())


def _largest(norms: Float32[np.ndarray, "O I"], count: int) -> list[int]:
    """The indices of the kernels with the largest norms, in channel order."""
    whole = np.linalg.norm(norms, axis=1)
    return sorted(np.argsort(-whole, kind="stable")[:count].tolist())


def _row(
    convolution: Convolution,
    kernel: Float32[np.ndarray, "h w I O"],
    norms: Float32[np.ndarray, "O I"],
    dead: Sequence[int],
    duplicates: Sequence[Sequence[int]],
    never_active: Mapping[str, Sequence[int]],
) -> dict[str, Any]:
    """The facts of a layer."""
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
        "duplicates": len(duplicates),
        "never_active": len(never_active[name]) if name in never_active else None,
    }


def _size(inner: Any, kernel: Float32[np.ndarray, "h w I O"]) -> str:
    """The size of a kernel, such as "3×3" or "3×3, dilated to 5×5"."""
    size = "×".join(map(str, kernel.shape[:2]))
    rates = inner.dilation_rate
    dilated = "×".join(str((side - 1) * rate + 1) for side, rate in zip(kernel.shape[:2], rates, strict=True))
    return size if dilated == size else f"{size}, dilated to {dilated}"


def _nonempty(by_layer: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
    """The layers whose list is not empty."""
    return {name: each for name, each in by_layer.items() if each}
