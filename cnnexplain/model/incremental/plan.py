"""Decides where only the changed part of feature maps is recomputed, by an estimate of the time.

The time is counted in multiplications. An estimate, unlike a measurement, gives the same plan at every run.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras

from cnnexplain.model.incremental import local_layers
from cnnexplain.model.incremental.changed_regions import Region, Step, changes
from cnnexplain.model.structure.graph import Call, Graph

MOVE, PASS = 25, 10
"""The multiplications that take as long as reading or writing a value, and as passing one through an elementwise layer."""

OVERHEAD = 5e6
"""The multiplications that take as long as the small computations for taking a crop, whatever its size."""

GAIN = 0.85
"""The share of the time for whole images that a plan may take at most, since both are estimates."""

STEPS = 20
"""The number of sizes of crops that are tried as the largest."""


@dataclass(frozen=True, eq=False)
class Plan:
    """How the outputs of a graph are computed for copies of images with changed boxes.

    Args:
        image: The part of the image that changes.
        steps: The calls to make, those with crops of their output first on each path.
        clean: The symbolic tensors whose values for the unchanged image are needed.
        work: The multiplications for a copy, in which moving values is included.
        peak: The largest number of values for a copy that exist at the same time.
    """

    image: Region
    steps: tuple[Step, ...]
    clean: tuple[Any, ...]
    work: float
    peak: int


def plans(graph: Graph, names: Sequence[str], image: Region, copies: int) -> list[Plan]:
    """Plans that differ in the largest crops; that for whole images is the first.

    Args:
        graph: The graph.
        names: The names of the outputs.
        image: The part of the image that changes.
        copies: The number of copies of each image.
    """
    steps = changes(graph, names, image)
    outputs = [graph.tensors[name] for name in names]
    shares = {math.ceil(step.region.share * STEPS) / STEPS for step in steps if step.region is not None}
    return [_plan(graph, _up_to(steps, share), outputs, image, copies) for share in (0.0, *sorted(shares))]


def fastest(plans: Sequence[Plan]) -> Plan:
    """The fastest plan, but that for whole images, the first, unless another one is clearly faster."""
    best = min(plans, key=lambda plan: plan.work)
    return best if best.work < GAIN * plans[0].work else plans[0]


def _up_to(steps: Sequence[Step], share: float) -> list[Step]:
    """The steps with crops of at most a share of the feature maps; those that follow a larger one compute whole maps."""
    whole: set[int] = set()
    kept = []
    for step in steps:
        large = step.region is None or step.region.share > share
        if large or not whole.isdisjoint(map(id, step.call.sources)):
            whole.update(map(id, keras.tree.flatten(step.call.output)))
            kept.append(replace(step, region=None))
        else:
            kept.append(step)
    return kept


def _plan(graph: Graph, steps: list[Step], outputs: Sequence[Any], image: Region, copies: int) -> Plan:
    regions = {id(graph.input): image} | {
        id(output): step.region for step in steps for output in keras.tree.flatten(step.call.output)
    }
    clean: dict[int, Any] = {}
    work, peak, live = 0.0, 0, {id(graph.input): _values(graph.input, image)}
    last = {id(source): number for number, step in enumerate(steps) for source in step.call.sources}
    last |= {id(output): len(steps) for output in outputs}
    for number, step in enumerate(steps):
        results = keras.tree.flatten(step.call.output)
        made = sum(_values(result, step.region) for result in results)
        share = 1.0 if step.region is None else step.region.share
        move = _move(step)
        work += share * _multiplications(step.call) + move * made
        moved = 0
        for source in step.call.sources:
            region, needed = regions.get(id(source)), _needed(step, source)
            work += move * needed
            if id(source) in regions and region is step.region and step.by_place:
                continue
            # The changed values are put into the unchanged ones, from which the crop is then taken.
            changed = 0 if region is None else _values(source, region)
            if source is not graph.input:
                clean[id(source)] = source
            moved += changed + needed
            work += MOVE * (2 * changed + needed + 4 * needed / (source.shape[-1] or 1)) + OVERHEAD / copies
        peak = max(peak, sum(live.values()) + moved + made)
        live |= {id(result): _values(result, step.region) for result in results}
        live = {key: values for key, values in live.items() if last.get(key, -1) > number}
    for output in outputs:
        region = regions[id(output)]
        if region is not None and output is not graph.input:
            clean[id(output)] = output
            work += MOVE * (2 * _values(output, region) + 2 * _values(output, None))
    tensors = tuple(clean.values())
    work += sum(_whole(call) for call in graph.calls_for(tensors)) / copies
    return Plan(image, tuple(steps), tensors, work, peak)


def _move(step: Step) -> int:
    """The multiplications that take as long as reading or writing a value in a step."""
    elementwise = step.windows is not None and local_layers.in_place(step.windows) and not _multiplications(step.call)
    return PASS if elementwise else MOVE


def _needed(step: Step, source: Any) -> int:
    """The number of values of a source that a step reads for a copy."""
    if step.region is None or step.windows is None or len(source.shape) != 4:
        return _values(source, None)
    places = [
        (length - 1) * window.stride + window.span for length, window in zip(step.region.size, step.windows, strict=True)
    ]
    return math.prod(places) * int(source.shape[-1] or 1)


def _values(tensor: Any, region: Region | None) -> int:
    """The number of values of a tensor, or of its crop to a region."""
    shape = tensor.shape[1:] if region is None else (*region.size, tensor.shape[-1])
    return math.prod(int(length or 1) for length in shape)


def _multiplications(call: Call) -> int:
    """The multiplications by weights for whole feature maps."""
    (output, *_) = keras.tree.flatten(call.output)
    places = int(math.prod(length or 1 for length in output.shape[1:-1]))
    weights = [tuple(weight.shape) for weight in getattr(call.inner, "weights", ())]
    return places * sum(int(math.prod(shape)) for shape in weights if len(shape) > 1)


def _whole(call: Call) -> float:
    """The time of a call for a whole image."""
    tensors = [*call.sources, *keras.tree.flatten(call.output)]
    return _multiplications(call) + MOVE * sum(_values(tensor, None) for tensor in tensors)


def memory_share(plan: Plan, graph: Graph) -> float:
    """The memory that a copy takes, as a share of that assumed for an image; see `batches.Batches`."""
    return min(1.0, 2 * plan.peak / (3 * graph.values)) if plan.clean else 1.0


def describe(plan: Plan) -> str:
    """What a plan computes, as a sentence."""
    whole = next((index for index, step in enumerate(plan.steps) if step.region is None), None)
    if whole is None:
        return "In all layers, only the part that a box changes was recomputed."
    if whole == 0 or not plan.clean:
        return "Whole images were computed, since computing only the part that a box changes would not be faster."
    call = plan.steps[whole].call
    sentence = f"Only the part that a box changes was recomputed before the layer '{call.name}'"
    if plan.steps[whole].windows is None:
        return f"{sentence} ({type(call.inner).__name__}), which is not local; from there on, whole feature maps."
    return f"{sentence}; from there on, whole feature maps, which are as fast."
