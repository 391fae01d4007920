"""The forward pass for copies of images with changed boxes that computes only the changed part of feature maps.

Incremental view maintenance (Nakandala, Kumar, Papakonstantinou 2019): the changed part of a layer's output is computed
from a crop of its input, which is taken from the feature maps of the unchanged image with the changed part pasted in.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from cnnexplain import backend
from cnnexplain.model.incremental import local_layers
from cnnexplain.model.incremental.changed_regions import Region, Step
from cnnexplain.model.incremental.plan import Plan
from cnnexplain.model.structure import layer_kinds
from cnnexplain.model.structure.graph import Graph
from cnnexplain.model.structure.inference import in_inference
from cnnexplain.model.structure.layer_kinds import Trait

if TYPE_CHECKING:
    from jaxtyping import Int

ops = keras.ops

FAR = 1 << 29
"""More than the number of places in a batch."""


def regions(plan: Plan) -> list[Region]:
    """The different regions of a plan, that of the image first."""
    found = [plan.image, *(step.region for step in plan.steps if step.region is not None)]
    return list({id(region): region for region in found}.values())


def places(plan: Plan) -> Int[np.ndarray, "M K"]:
    """What a pass needs to know about each of M copies: the box, and the first row and column of each region's crop."""
    starts = [region.starts for region in regions(plan)]
    return np.concatenate([plan.image.first, plan.image.stop, *starts], axis=1)


def incremental_pass(graph: Graph, plan: Plan, names: Sequence[str]) -> Callable[[Any, Any, Any], list[Any]]:
    """A function (copies, images, fills) ↦ the outputs of layers for n copies, in `keras.ops`.

    `copies`, (n, 1 + K), holds the index of each copy's image and its row of `places`; the images and the pixels that their
    boxes show are both (N, H, W, C).
    """
    unchanged = graph.function_of(plan.clean)
    functions = {id(step.call): local_layers.valid(step.call) for step in plan.steps if not step.by_place}

    rows = backend.current().rows

    def computed(copies: Any, images: Any, fills: Any) -> list[Any]:
        values = unchanged(images) if plan.clean else []
        clean = dict(zip(map(id, plan.clean), values, strict=True))
        made = _Copies(graph.input, plan, clean, ops.cast(copies, "int32"), images, fills, rows)

        def steps() -> list[Any]:
            for step in plan.steps:
                made.add(step, functions.get(id(step.call)))
            return [made.whole(graph.tensors[name]) for name in names]

        return in_inference(steps)

    return computed


class _Copies:
    """The tensors for n copies: crops to the changed region, or whole feature maps where the region is not known.

    Args:
        image: The symbolic image.
        plan: The plan.
        clean: The values of tensors for the N unchanged images, by the id of the symbolic tensor.
        copies: (n, 1 + K), see `incremental_pass`.
        images: (N, H, W, C).
        fills: The pixels that the boxes show, (N, H, W, C).
        rows: See `backend.Backend.rows`.
    """

    def __init__(
        self,
        image: Any,
        plan: Plan,
        clean: dict[int, Any],
        copies: Any,
        images: Any,
        fills: Any,
        rows: Callable[[Any, Any], Any],
    ) -> None:
        self.image, self.images, self.fills, self.rows = image, images, fills, rows
        self.clean = clean | {id(image): images}
        self.number, self.first, self.stop = copies[:, 0], copies[:, 1:3], copies[:, 3:5]
        self.starts = {id(region): copies[:, 5 + 2 * k : 7 + 2 * k] for k, region in enumerate(regions(plan))}
        self.regions: dict[int, Region | None] = {id(image): plan.image}
        self.values: dict[int, Any] = {}
        self.wholes: dict[int, Any] = {}

    def add(self, step: Step, valid: Callable[[Any], Any] | None) -> None:
        """Makes a call; `valid` computes it from crops around the places of its output."""
        call, region = step.call, step.region
        if valid is not None and region is not None and step.windows is not None:
            strides, pads = (
                ops.convert_to_tensor([getattr(each, name) for each in step.windows], "int32") for name in ("stride", "pad")
            )
            first = self.starts[id(region)] * strides - pads
            size = [(n - 1) * each.stride + each.span for n, each in zip(region.size, step.windows, strict=True)]
            output = valid(self.taken(call.sources[0], first, size, local_layers.outside(call)))
        elif region is not None and layer_kinds.of(call.inner) & Trait.IDENTITY:
            output = self.crop(call.sources[0], region)
        else:
            args, kwargs = keras.tree.map_structure(
                lambda leaf: self.crop(leaf, region) if keras.utils.is_keras_tensor(leaf) else leaf, (call.args, call.kwargs)
            )
            output = call.function(*args, **kwargs)
        for symbolic, value in zip(keras.tree.flatten(call.output), keras.tree.flatten(output), strict=True):
            self.regions[id(symbolic)] = region
            self.values[id(symbolic)] = ops.cast(value, symbolic.dtype)

    def crop(self, tensor: Any, region: Region | None) -> Any:
        """The values of a tensor in a region, or all."""
        if region is None:
            return self.whole(tensor)
        if tensor is not self.image and self.regions.get(id(tensor)) is region:
            return self.values[id(tensor)]
        return self.taken(tensor, self.starts[id(region)], region.size)

    def whole(self, tensor: Any) -> Any:
        """All values of a tensor."""
        key = id(tensor)
        if key in self.values and self.regions[key] is None:
            return self.values[key]
        if key not in self.wholes:
            self.wholes[key] = self._whole(tensor)
        return self.wholes[key]

    def _whole(self, tensor: Any) -> Any:
        if id(tensor) not in self.regions:
            return ops.take(self.clean[id(tensor)], self.number, axis=0)
        if tensor is not self.image:
            return self.taken(tensor, ops.zeros_like(self.first), tensor.shape[1:3])
        rows, columns = (ops.arange(length, dtype="int32")[None] for length in tensor.shape[1:3])
        inside = [
            ops.logical_and(places >= self.first[:, axis, None], places < self.stop[:, axis, None])
            for axis, places in enumerate((rows, columns))
        ]
        hidden = ops.logical_and(inside[0][:, :, None, None], inside[1][:, None, :, None])
        return ops.where(hidden, ops.take(self.fills, self.number, axis=0), ops.take(self.images, self.number, axis=0))

    def taken(self, tensor: Any, first: Any, size: Sequence[int], outside: float = 0.0) -> Any:
        """Crops (n, *size, C) of a tensor from some rows and columns (n, 2) on, with a value outside the feature maps."""
        height, width, channels = tensor.shape[1:]
        clean, region = self.clean[id(tensor)], self.regions.get(id(tensor))
        rows, columns = (first[:, axis, None] + ops.arange(size[axis], dtype="int32") for axis in (0, 1))
        # The vectors of all places, numbered: the one outside, those of the unchanged images, those that changed.
        vectors = [ops.full((1, channels), outside, clean.dtype), ops.reshape(clean, (-1, channels))]
        base = 1 + self.number[:, None] * (height * width)
        numbers = _numbers(base, width, (rows, columns), (height, width))
        if region is not None:
            changed, row_length = (self.fills, width) if tensor is self.image else (self.values[id(tensor)], region.size[1])
            vectors.append(ops.reshape(changed, (-1, channels)))
            unchanged = ops.shape(clean)[0] * height * width
            if tensor is self.image:
                start, lengths = self.first, [self.stop[:, axis, None] - self.first[:, axis, None] for axis in (0, 1)]
                base += unchanged + start[:, :1] * width + start[:, 1:]
            else:
                start, lengths = self.starts[id(region)], list(region.size)
                base = 1 + unchanged + ops.arange(ops.shape(changed)[0], dtype="int32")[:, None] * math.prod(region.size)
            within = (rows - start[:, :1], columns - start[:, 1:])
            # A place that changed has the larger number.
            numbers = ops.maximum(numbers, _numbers(base, row_length, within, lengths))
        return self.rows(ops.concatenate(vectors, axis=0), ops.maximum(numbers, 0))


def _numbers(base: Any, row_length: int, places: tuple[Any, Any], lengths: Sequence[Any]) -> Any:
    """The numbers (n, h, w) of places in maps whose first has the number `base` (n, 1); negative outside the maps.

    `places` are their rows (n, h) and columns (n, w), `lengths` the numbers of rows and columns of the maps.
    """
    rows, columns = (
        ops.where(ops.logical_and(each >= 0, each < length), number, -FAR)
        for each, length, number in zip(places, lengths, (base + places[0] * row_length, places[1]), strict=True)
    )
    return rows[:, :, None] + columns[:, None, :]
