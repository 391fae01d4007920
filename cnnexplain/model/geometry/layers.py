"""The layers of a model: their outputs, and how to find them by name."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import keras

from cnnexplain.errors import ModelError, UsageError, shown, suggest
from cnnexplain.model.geometry.receptive_field import Fields
from cnnexplain.model.geometry.token_grid import Grid, Layout, layout
from cnnexplain.model.structure import layer_kinds
from cnnexplain.model.structure.activations import activation
from cnnexplain.model.structure.graph import INPUT, LOGITS, Call, Graph
from cnnexplain.model.structure.layer_kinds import Trait
from cnnexplain.model.structure.layer_names import from_keras
from cnnexplain.model.structure.linear_parts import Linear
from cnnexplain.model.structure.model_inputs import shape_text

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Shaped

LISTED = 40
"""The most layers that an error names before it counts the rest."""


@dataclass(frozen=True)
class Layer:
    """A layer of a model.

    Args:
        name: Its name; in a nested model "outer/inner".
        kind: Its class, such as "Conv2D".
        shape: The shape of its output for one image: (h, w, F) for F feature maps, (K,) for a dense layer.
        parameters: The number of its weights; 0 for the second and later calls of a shared layer.
        grid: The places that its tokens (T, C) represent; None if there are none, or if they are not known.
        heads: Whether an output (h, w, C) is not feature maps, but attention heads, for example.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    parameters: int = 0
    grid: Grid | None = None
    heads: bool = False

    @property
    def maps(self) -> bool:
        """Whether its output is feature maps."""
        return len(self.shape) == 3 and not self.heads

    @property
    def sides(self) -> tuple[int, int] | None:
        """The rows and columns of its feature maps, or of the grid of its tokens; None if it has neither."""
        if self.grid is not None:
            return self.grid.rows, self.grid.columns
        return (self.shape[0], self.shape[1]) if self.maps else None

    @property
    def rearranges(self) -> bool:
        """Whether it computes no features, but selects, moves or averages those of the previous layer, like pooling."""
        return layer_kinds.rearranges(self.kind)

    @property
    def within_block(self) -> bool:
        """Whether it is part of a transformer block, represented by the sum at the end of the block or the normalization."""
        return bool(layer_kinds.KINDS.get(self.kind, Trait(0)) & Trait.WITHIN_BLOCK)

    def as_maps(self, output: Shaped[np.ndarray, " N *shape"]) -> Shaped[np.ndarray, "N h w F"]:
        """Its output (N, *shape) as feature maps (N, h, w, F); tokens without a place are left out."""
        return output if self.grid is None else self.grid.maps(output)


class Layers:
    """The layers of a model's graph.

    Args:
        graph: The graph.
        model_name: The name of the model, for errors.
    """

    def __init__(self, graph: Graph, model_name: str) -> None:
        self.graph = graph
        self._model_name = model_name
        self._found: dict[tuple[str, bool], Layer] = {}
        self._others: dict[str, tuple[str, ...]] = {}

    @cached_property
    def layout(self) -> Layout:
        """What the axes of the layers' outputs represent."""
        return layout(self.graph)

    @cached_property
    def fields(self) -> Fields:
        """The receptive fields of their units."""
        return Fields(self.graph, self.layout)

    @cached_property
    def all(self) -> tuple[Layer, ...]:
        """The layers in the order of computation, without those that process windows of an image as if they were images."""
        tensors, windows = self.graph.tensors, self.layout.windows
        return tuple(self.find(name) for name in self.graph.names if id(tensors[name]) not in windows)

    @cached_property
    def names(self) -> dict[int, str]:
        """The layers' names by the ids of their symbolic outputs."""
        return {id(self.graph.tensors[name]): name for name in self.graph.names}

    def call(self, name: str) -> Call | None:
        """The call that computes a layer's output; None for the input."""
        tensor = self.graph.tensors[name]
        return next((call for call in self.graph.calls if call.output is tensor), None)

    def find(self, name: str, *, maps: bool = False) -> Layer:
        """The layer with a name, or the "input" or "logits".

        Args:
            name: As in `all`, or its name in Keras.
            maps: Whether it must have feature maps.

        Raises:
            UsageError: There is no such layer, or it has no feature maps although `maps` is set.
            ModelError: Its feature maps have the channels first.
        """
        if not isinstance(name, str) or (name, maps) not in self._found:
            layer = self._layer(name, maps=maps)
            self._found[name, maps] = layer
        return self._found[name, maps]

    def _layer(self, name: str, *, maps: bool) -> Layer:
        tensors = self.graph.tensors
        if isinstance(name, str) and name not in tensors:
            # Its name in Keras may differ.
            name = next((each for each in [from_keras(name)] if each in tensors), name)
        if not isinstance(name, str) or name not in tensors:
            raise UsageError(
                f"The model has no layer {shown(name)}.{suggest(name, tensors)} "
                f"Its layers are {_listed([layer.name for layer in self.all])}."
            )
        tensor, call = tensors[name], self.call(name)
        kind = "Input" if call is None else type(call.inner).__name__
        if id(tensor) in self.layout.windows:
            raise UsageError(
                f"The layer '{name}' ({kind}) holds windows of an image as if they were images, so its output can't be "
                "assigned to images; name a layer before or after the windows."
            )
        shape = tuple(int(size) for size in tensor.shape[1:])
        grid, heads = self.layout.grids.get(id(tensor)), id(tensor) in self.layout.heads
        layer = Layer(name, kind, shape, self.parameters(call), grid, heads)
        if layer.maps and call is not None and getattr(call.inner, "data_format", "") == "channels_first":
            raise ModelError(
                f"The layer '{name}' of '{self._model_name}' puts its channels first; only feature maps of shape (height, "
                "width, channels) are supported."
            )
        if maps and not layer.maps:
            with_maps = [layer.name for layer in self.all if layer.maps]
            raise UsageError(
                f"The layer '{name}' ({layer.kind}) has no feature maps: it returns {shape_text(layer.shape)}. "
                f"Layers with feature maps: {_listed(with_maps) or 'none'}."
            )
        return layer

    def parameters(self, call: Call | None) -> int:
        """The number of weights of a call's layer; 0 for all but its first call."""
        if call is None or not isinstance(call.inner, keras.Layer):
            return 0
        first = next(each for each in self.graph.calls if each.inner is call.inner)
        return sum(math.prod(weight.shape) for weight in call.inner.weights) if first is call else 0

    def before_relu(self, name: str) -> str | None:
        """The layer before a layer that is only a ReLU, with or without a ceiling; None for other layers."""
        call = self.call(self.find(name).name)
        final = None if call is None else activation(call)
        # A layer with a product before its ReLU does not get the input of the ReLU.
        if call is None or final is None or not final.relu or isinstance(final.pre_activation, Linear):
            return None
        return self.names.get(id(call.sources[0]))

    def sources(self, name: str) -> tuple[str, ...]:
        """The names of the layers whose outputs a layer takes, or "input", in the order of its arguments."""
        call = self.call(self.find(name).name)
        tensors = [] if call is None else [id(source) for source in call.sources]
        names = self.names | {id(self.graph.input): INPUT}
        return tuple(dict.fromkeys(names[tensor] for tensor in tensors if tensor in names))

    def other_calls(self, name: str) -> tuple[str, ...]:
        """The names of the other calls of a layer with weights, or of the nested model that contains the layer."""
        found = self.find(name).name
        if found not in self._others:
            self._others[found] = self._other_calls(found)
        return self._others[found]

    def _other_calls(self, name: str) -> tuple[str, ...]:
        tensor, (outer, _, leaf) = self.graph.tensors[name], name.rpartition("/")
        # The scores before a layer's own activation are not a call of the model.
        calls = [call for call in self.graph.calls if call.name != LOGITS]
        inner = next((call.inner for call in calls if call.output is tensor), None)
        same = [call.name for call in calls if call.inner is inner and call.output is not tensor]
        weighted = isinstance(inner, keras.Layer) and bool(inner.weights)
        # A single ReLU that is used everywhere does not define separate paths.
        apart = [other for other in same if weighted or other.rpartition("/")[0] != outer]
        alike = [other for other in apart if other.rpartition("/")[2] == leaf]
        return tuple(other for other in alike or apart if other in self.graph.tensors)

    def models_without_graph(self) -> tuple[str, ...]:
        """The layers that are models without a graph, whose inner layers are not accessible."""
        return tuple(call.name for call in self.graph.calls if isinstance(call.inner, keras.Model))


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:LISTED]) + (f" and {len(names) - LISTED} more" if len(names) > LISTED else "")
