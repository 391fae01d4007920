"""The stages of a network, between which it reduces the resolution, and the layers at their ends."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import keras

from cnnexplain.model.geometry.convolutions import end_of_followers
from cnnexplain.model.structure import layer_kinds
from cnnexplain.model.structure.graph import INPUT, Graph
from cnnexplain.model.structure.layer_kinds import Trait


def stage_ends(graph: Graph, convolutions: Collection[str]) -> list[str]:
    """One layer per stage, and the last feature maps, in the order of computation.

    A stage begins with a layer of stride 2 or more. It ends with the last sum or concatenation of branches, after the
    activation that follows; without one, with its last convolution, after batch normalization and activation. A stage
    without a convolution has no end.

    Args:
        graph: The model.
        convolutions: The layers at the ends of its convolutions, including batch normalization and activation.
    """
    names = {id(graph.tensors[name]): name for name in graph.names}
    stages = {id(graph.tensors[INPUT]): 0}
    merges: dict[int, str] = {}
    plain: dict[int, str] = {}
    last: str | None = None
    for call in graph.calls:
        stage = max((stages.get(id(source), 0) for source in call.sources), default=0) + _strided(call.inner)
        stages |= {id(output): stage for output in keras.tree.flatten(call.output)}
        name = names.get(id(call.output))
        # A single place is not a map: the output of global pooling, or the scale of a squeeze-and-excitation block.
        if name is None or len(call.output.shape) != 4 or tuple(call.output.shape[1:3]) == (1, 1):
            continue
        if layer_kinds.of(call.inner) & Trait.MERGES:
            merges[stage] = last = names.get(id(end_of_followers(graph, call.output)), name)
        elif name in convolutions:
            plain[stage] = last = name
    ends = {**plain, **merges}
    order = {name: index for index, name in enumerate(graph.names)}
    return sorted({*ends.values(), *([last] if last else [])}, key=order.__getitem__)


def _strided(layer: Any) -> bool:
    strides = getattr(layer, "strides", 1)
    return bool(max(strides if isinstance(strides, tuple | list) else (strides,)) > 1)
