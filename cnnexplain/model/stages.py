"""The stages of a network, between which it halves the resolution, and the layers in which they end."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import keras

from cnnexplain.model import layer_kinds
from cnnexplain.model.graph import INPUT, Twin
from cnnexplain.model.layer_kinds import Known


def stage_ends(twin: Twin, convolutions: Collection[str]) -> list[str]:
    """One layer a stage, and the last feature maps, in the order of computation.

    A stage begins with a layer of stride 2 or more. It ends in the last sum or concatenation of branches, after its
    activation where one follows alone; where it has none, in its last convolution, after batch normalization and
    activation. A stage without a convolution has no end.

    Args:
        twin: The model.
        convolutions: The layers in which its convolutions end, batch normalization and activation included.
    """
    names = {id(twin.tensors[name]): name for name in twin.names}
    number = {id(twin.tensors[INPUT]): 0}
    merges: dict[int, str] = {}
    plain: dict[int, str] = {}
    last: str | None = None
    for call in twin.calls:
        stage = max((number.get(id(source), 0) for source in call.sources), default=0) + _strided(call.inner)
        number |= {id(output): stage for output in keras.tree.flatten(call.output)}
        name = names.get(id(call.output))
        # A single place is no map: what is left after global pooling, or the scale of a squeeze-and-excitation block.
        if name is None or len(call.output.shape) != 4 or tuple(call.output.shape[1:3]) == (1, 1):
            continue
        if layer_kinds.of(call.inner) & Known.MERGES:
            output = call.output
            while len(after := twin.consumers(output)) == 1 and layer_kinds.of(after[0].inner) & Known.FOLLOWS:
                output = after[0].output
            merges[stage] = last = names.get(id(output), name)
        elif name in convolutions:
            plain[stage] = last = name
    ends = {**plain, **merges}
    order = {name: place for place, name in enumerate(twin.names)}
    return sorted({*ends.values(), *([last] if last else [])}, key=order.__getitem__)


def _strided(layer: Any) -> bool:
    strides = getattr(layer, "strides", 1)
    return bool(max(strides if isinstance(strides, tuple | list) else (strides,)) > 1)
