"""Outputs of several layers, each for images of its own, which leave the network after that layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras

from cnnexplain.model.structure import layer_kinds
from cnnexplain.model.structure.graph import Call, Calls, Graph
from cnnexplain.model.structure.inference import in_inference
from cnnexplain.model.structure.layer_kinds import Trait


class Range(NamedTuple):
    """The groups from `start` to `stop`, without the latter."""

    start: int
    stop: int


def staggered(graph: Graph, groups: Sequence[Sequence[str]]) -> Callable[[Any], list[list[Any]]]:
    """A function from K · N images, those of the first group first, to the outputs of each group's layers for its images.

    A layer computes only the images of groups that need it, if all layers before it treat each image separately, and
    otherwise all images.

    Args:
        graph: The graph.
        groups: K groups of names of layers, as in `Graph.tensors`.
    """
    wanted = [graph.tensors[name] for names in groups for name in names]
    calls = graph.calls_for(wanted)
    if graph.fixed or not all(map(by_image, calls)):
        ranges = {id(leaf): Range(0, len(groups)) for call in calls for leaf in keras.tree.flatten(call.output)}
    else:
        ranges = _ranges(graph, groups)
    ranges[id(graph.input)] = Range(0, len(groups))
    needed = Calls([graph.input, *(tensor for tensor, _ in graph.fixed)], calls, wanted)

    def outputs(images: Any) -> list[list[Any]]:
        parts: dict[Any, Any] = {}

        def taken(x: Any, source: Any, wanted: Range) -> Any:
            """The images of some groups, of x, the value of `source`."""
            given = ranges.get(id(source), wanted)
            if given == wanted:
                return x
            # The gradient of a split is a concatenation, which takes less time than those of slices and their sum.
            cuts = tuple(sorted({wanted.start - given.start, wanted.stop - given.start} - {0, given.stop - given.start}))
            if (id(source), cuts) not in parts:
                apart = keras.ops.split(keras.ops.reshape(x, (given.stop - given.start, -1, *source.shape[1:])), cuts)
                parts[id(source), cuts] = [keras.ops.reshape(each, (-1, *source.shape[1:])) for each in apart]
            return parts[id(source), cuts][wanted.start > given.start]

        def make(call: Call, args: Any, kwargs: Any) -> Any:
            computed = ranges[id(keras.tree.flatten(call.output)[0])]
            args, kwargs = keras.tree.map_structure(
                lambda source, x: taken(x, source, computed) if keras.utils.is_keras_tensor(source) else x,
                (call.args, call.kwargs),
                (args, kwargs),
            )
            return call.function(*args, **kwargs)

        inputs = [images, *graph.fixed_values(images)]
        found = iter(in_inference(lambda: needed.replay(inputs, make)))
        return [
            [taken(next(found), graph.tensors[name], Range(number, number + 1)) for name in names]
            for number, names in enumerate(groups)
        ]

    return outputs


def by_image(call: Call) -> bool:
    """Whether a call surely treats each image separately, keeps the images along the first axis, and has a known shape."""
    traits = layer_kinds.KINDS.get(type(call.inner).__name__)
    if traits is None or not layer_kinds.is_keras(call.inner):
        return False
    known = all(None not in tensor.shape[1:] for tensor in keras.tree.flatten(call.output))
    # An operation such as a reshape may move images to another axis; a layer does not.
    return known and (isinstance(call.inner, keras.Layer) or bool(traits & Trait.POINTWISE))


def _ranges(graph: Graph, groups: Sequence[Sequence[str]]) -> dict[int, Range]:
    """The groups whose images each tensor is computed for: from the first to the last that needs it."""
    ranges: dict[int, Range] = {}
    for number, names in enumerate(groups):
        for call in graph.ancestors(names):
            for leaf in keras.tree.flatten(call.output):
                ranges[id(leaf)] = Range(ranges.get(id(leaf), Range(number, number)).start, number + 1)
    return ranges
