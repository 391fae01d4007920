"""Groups the layers of a deep network into blocks, so that it can be shown at one glance."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

FEW = 24
"""Networks with at most this many layers are shown without blocks."""

MOST = 48
"""The most blocks that are named after their layers."""

MEMBERS = 2.5
"""The smallest mean number of layers in blocks that are named after their layers."""


@dataclass(frozen=True)
class Node:
    """A layer in a graph.

    Args:
        name: Its name.
        sources: The names of the layers whose outputs it takes.
        side: The number of rows of its feature maps; None if it has none.
        pools: Whether it pools.
    """

    name: str
    sources: tuple[str, ...]
    side: int | None = None
    pools: bool = False


@dataclass(frozen=True)
class Block:
    """Consecutive layers, of which only the output of the last is used by others.

    Args:
        name: A name for the block.
        layers: The names of its layers, in the order of computation.
    """

    name: str
    layers: tuple[str, ...]


def blocks(nodes: Sequence[Node]) -> list[Block]:
    """The blocks of a network, whose layers are given in the order of computation.

    Layers whose names begin alike are a block, such as "block2a_expand" and "block2a_project", or those of a nested
    model. If few do, a block is a part with branches, or a run of layers at one resolution. No branch leads past the end of
    a block.
    """
    if len(nodes) <= FEW:
        return [Block(node.name, (node.name,)) for node in nodes]
    parts = unbranched_parts(nodes)
    named = _grouped(parts, lambda part: prefix(part[-1].name))
    if len(named) <= MOST and len(nodes) >= MEMBERS * len(named):
        return [_block(prefix(layers[-1].name), layers) for layers in named]
    return [_block(f"{layers[0].name} to {layers[-1].name}", layers) for layers in _runs(parts)]


def unbranched_parts(nodes: Sequence[Node]) -> list[list[Node]]:
    """The smallest parts between layers that all paths lead through."""
    place = {node.name: index for index, node in enumerate(nodes)}
    # The last layer that takes the output of each.
    last_use = list(range(len(nodes)))
    for index, node in enumerate(nodes):
        for source in node.sources:
            if source in place:
                last_use[place[source]] = index
    parts: list[list[Node]] = [[]]
    furthest = 0
    for index, node in enumerate(nodes):
        parts[-1].append(node)
        if furthest <= index and index + 1 < len(nodes):
            parts.append([])
        furthest = max(furthest, last_use[index])
    return parts


def prefix(name: str) -> str:
    """The beginning of a layer's name that the layers of its block share: a nested model, or all up to the first number."""
    outer, slash, _ = name.partition("/")
    if slash:
        return outer
    words = re.split(r"(?<=[^_])_", name)
    numbered = next((index for index, word in enumerate(words) if re.search(r"\d", word)), 0)
    return "_".join(words[: numbered + 1])


def _grouped(parts: Sequence[list[Node]], key: Callable[[list[Node]], str]) -> list[list[Node]]:
    return [[node for part in group for node in part] for _, group in groupby(parts, key)]


def _runs(parts: Sequence[list[Node]]) -> list[list[Node]]:
    """Parts with branches, and runs of single layers from one change of the resolution to the next."""
    runs: list[list[Node]] = []
    begins = True
    side: int | None = None
    for part in parts:
        alone = len(part) == 1
        changes = part[-1].side != side
        if begins or not alone or (changes and not part[-1].pools):
            runs.append([])
        runs[-1] += part
        begins = not alone or part[-1].pools
        side = part[-1].side
    return runs


def _block(name: str, layers: Sequence[Node]) -> Block:
    names = tuple(node.name for node in layers)
    return Block(name if len(names) > 1 else names[0], names)
