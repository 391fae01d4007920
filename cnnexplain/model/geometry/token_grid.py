"""How the axes of tensors represent the rows and columns of an image, also after layers that move values.

A value of feature maps (N, h, w, C) represents a row and a column. Following the numbers of these places through layers that
only move values yields the grid of tokens (N, T, C), however they were made from the feature maps of a convolution.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from cnnexplain.model.geometry.token_places import Places, merged_blocks, probed_places
from cnnexplain.model.structure import layer_kinds
from cnnexplain.model.structure.graph import Call, Graph
from cnnexplain.model.structure.layer_kinds import Trait
from cnnexplain.model.structure.rearrangements import evaluated, only_moves, place_numbers, unstacks

if TYPE_CHECKING:
    from jaxtyping import Shaped


@dataclass(frozen=True)
class Grid:
    """The places that tokens (N, T, C) represent.

    Args:
        rows: The number of rows.
        columns: The number of columns.
        tokens: The index of the token of each place, row by row.
        others: The tokens without a place, such as a class token.
    """

    rows: int
    columns: int
    tokens: tuple[int, ...]
    others: tuple[int, ...] = ()

    def maps(self, tokens: Shaped[np.ndarray, "N T C"]) -> Shaped[np.ndarray, "N {self.rows} {self.columns} C"]:
        """Tokens as feature maps, without the tokens that have no place."""
        return tokens[:, list(self.tokens)].reshape(len(tokens), self.rows, self.columns, tokens.shape[-1])

    def spread(self, maps: Shaped[np.ndarray, "N {self.rows} {self.columns} C"]) -> Shaped[np.ndarray, "N T C"]:
        """Feature maps as tokens; tokens without a place are zero."""
        tokens = np.zeros((len(maps), len(self.tokens) + len(self.others), maps.shape[-1]), maps.dtype)
        tokens[:, list(self.tokens)] = maps.reshape(len(maps), -1, maps.shape[-1])
        return tokens


@dataclass(frozen=True)
class Layout:
    """What the axes of a model's tensors represent, by the ids of the tensors.

    Args:
        grids: The grids of tokens (N, T, C) that have one.
        windows: The tensors whose first axis counts something else than images, such as windows of them.
        heads: The tensors (N, h, w, C) whose second and third axes are not rows and columns, such as attention heads.
    """

    grids: Mapping[int, Grid]
    windows: Set[int]
    heads: Set[int]


def layout(graph: Graph) -> Layout:
    """What the axes of the tensors of a graph represent."""
    grids: dict[int, Grid] = {}
    windows, heads = set(), set()
    places: dict[int, Places] = {}

    def places_of(tensor: Any) -> Places | None:
        if id(tensor) not in places and len(tensor.shape) == 4:
            places[id(tensor)] = Places(tensor.shape[2] or 1, place_numbers(tensor))
        return places.get(id(tensor))

    # In all other models the first axis of every tensor is that of the images, and the others are those of feature maps.
    unusual = any(len(tensor.shape) in (3, 5, 6) for call in graph.calls for tensor in keras.tree.flatten(call.output))
    for call in graph.calls if unusual or any(getattr(call.inner, "axis", None) == 0 for call in graph.calls) else ():
        outputs = keras.tree.flatten(call.output)
        output_places = _output_places(call, outputs, [places_of(source) for source in call.sources])
        for output, each in zip(outputs, output_places, strict=True):
            if each is None:
                continue
            places[id(output)] = each
            grid = _grid(each) if len(output.shape) == 3 else None
            if grid is not None:
                grids[id(output)] = grid
            # The first axis is not that of the images.
            if each.items > 1 or None in output.shape[1:]:
                windows.add(id(output))
            elif len(output.shape) == 4 and not _are_maps(each):
                heads.add(id(output))
    return Layout(grids, windows, heads)


def _are_maps(places: Places) -> bool:
    """Whether both axes of (1, h, w, C) distinguish places."""
    numbers = places.numbers
    if numbers is None or numbers.ndim != 4:
        return False
    (_, height, width, _), same = numbers.shape, [(numbers == numbers.take([0], axis)).all() for axis in (1, 2)]
    return not (same[0] and height > 1) and not (same[1] and width > 1)


def _output_places(call: Call, outputs: list[Any], given: list[Places | None]) -> list[Places | None]:
    """The places of the outputs of a call; None for new feature maps, or if nothing is known."""
    known = [each for each in given if each is not None]
    if not known:
        return [None] * len(outputs)
    items, width = max(each.items for each in known), known[0].width
    lost = Places(width, None, items)
    if layer_kinds.of(call.inner) & Trait.BLANK and items == 1:
        return [Places(width, np.zeros((1, *(size or 1 for size in each.shape[1:])), np.float32)) for each in outputs]
    if only_moves(call):
        arrays = {
            id(source): each.numbers
            for source, each in zip(call.sources, given, strict=True)
            if each is not None and each.numbers is not None and each.width == width
        }
        if not arrays and items > 1:
            return _without_places(call, outputs, items, width)
        numbers = evaluated(call, arrays) if arrays else [None] * len(outputs)
        return [None if each is None else Places(width, each, len(each)) for each in numbers]
    if items > 1 and unstacks(call):
        return _without_places(call, outputs, items, width)
    return [_computed_places(call, output, given, lost) for output in outputs]


def _without_places(call: Call, outputs: list[Any], items: int, width: int) -> list[Places | None]:
    """The outputs of a call whose input has something else than images along its first axis; its places are lost.

    The length of the first axis of an output shows whether it is that of the images again.
    """
    blank = {
        id(source): np.zeros([source.shape[0] or items, *(size or 1 for size in source.shape[1:])], np.float32)
        for source in call.sources
    }
    lost = [Places(width, None, len(each)) for each in evaluated(call, blank)]
    return [None if each.items == 1 and len(output.shape) == 4 else each for output, each in zip(outputs, lost, strict=True)]


def _computed_places(call: Call, output: Any, given: list[Places | None], lost: Places) -> Places | None:
    """The places of an output of a call that computes new values."""
    rank, items = len(output.shape), lost.items
    # A layer with feature maps of its own.
    if rank == 4 and items == 1 and all(each is None or _are_maps(each) for each in given):
        return None
    kept = next((kept for each in given if each is not None and (kept := _kept(call, output, each)) is not None), None)
    if kept is not None or items > 1 or rank == 4:
        return kept or lost
    if rank != 3 or len(given) != 1 or layer_kinds.is_keras(call.inner):
        return None
    return probed_places(call, output, given[0])


def _kept(call: Call, output: Any, given: Places) -> Places | None:
    """The places of the output of a layer whose tokens represent the same places as those of its input."""
    places, shape = merged_blocks(given), tuple(output.shape)
    if (
        places is None
        or places.numbers is None
        or places.numbers.ndim != len(shape)
        or layer_kinds.of(call.inner) & Trait.SHUFFLES
    ):
        return None
    if shape[1:-1] != places.numbers.shape[1:-1]:
        return None
    return replace(places, numbers=np.broadcast_to(places.numbers[..., :1], (*places.numbers.shape[:-1], shape[-1] or 1)))


def _grid(places: Places) -> Grid | None:
    """The grid of tokens (1, T, C), which represent each place of a rectangle once."""
    places_of_tokens = merged_blocks(places)
    if places_of_tokens is None or places_of_tokens.numbers is None or places_of_tokens.items != 1:
        return None
    numbers = places_of_tokens.numbers[0, :, 0].astype(int)
    tokens = np.flatnonzero(numbers)
    rows, columns = np.divmod(numbers[tokens] - 1, places_of_tokens.width)
    used_rows, used_columns = np.unique(rows), np.unique(columns)
    if len(tokens) < 2 or len(tokens) != len(used_rows) * len(used_columns):
        return None
    if len(np.unique(numbers[tokens])) != len(tokens):
        return None
    order = tokens[np.lexsort((columns, rows))]
    others = tuple(map(int, np.flatnonzero(numbers == 0)))
    return Grid(len(used_rows), len(used_columns), tuple(map(int, order)), others)
