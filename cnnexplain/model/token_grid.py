"""Which place of feature maps each number of a tensor stands for, after layers that move numbers about.

A number of feature maps (N, h, w, C) stands for a row and a column. Reshaping, transposing, joining and padding move numbers
without changing them, so that such a layer, given the numbers of the places, returns where each came from. This tells the
grid of tokens (N, T, C), whatever way they were made of a convolution's maps.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Set
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np

from cnnexplain.interruption import check_interrupted
from cnnexplain.model import layer_kinds
from cnnexplain.model.graph import Call, Twin
from cnnexplain.model.inference import aside
from cnnexplain.model.layer_kinds import Known
from cnnexplain.types import Array

OTHERS = 8
"""So many tokens at most that stand for no place, such as class tokens, are looked for beside the patches of a layer."""


@dataclass(frozen=True)
class Grid:
    """How tokens (N, T, C) stand for places.

    Args:
        rows: How many rows.
        columns: How many columns.
        tokens: Which token stands for each place, row by row.
        others: The tokens that stand for no place, such as a class token.
    """

    rows: int
    columns: int
    tokens: tuple[int, ...]
    others: tuple[int, ...] = ()

    def maps(self, tokens: Array) -> Array:
        """Tokens (N, T, C) as feature maps (N, rows, columns, C), without those that stand for no place."""
        return tokens[:, list(self.tokens)].reshape(len(tokens), self.rows, self.columns, tokens.shape[-1])

    def spread(self, maps: Array) -> Array:
        """Feature maps (N, rows, columns, C) as tokens (N, T, C), zero where a token stands for no place."""
        tokens = np.zeros((len(maps), len(self.tokens) + len(self.others), maps.shape[-1]), maps.dtype)
        tokens[:, list(self.tokens)] = maps.reshape(len(maps), -1, maps.shape[-1])
        return tokens


def moves(call: Call) -> bool:
    """Whether a call does nothing but move numbers."""
    inner, kind = call.inner, type(call.inner).__name__
    known = layer_kinds.of(inner)
    if not layer_kinds.is_keras(inner):
        return False
    if known & Known.RESIZES:
        # The nearest pixel is one of those that were there.
        plain = getattr(inner, "interpolation", "") == "nearest" and not getattr(inner, "pad_to_aspect_ratio", False)
        return plain and not getattr(inner, "antialias", False)
    if kind == "CenterCrop":
        # It enlarges what is smaller.
        return bool(inner.height <= call.sources[0].shape[1] and inner.width <= call.sources[0].shape[2])
    # A padding with another number than zero would stand for a place.
    return bool(known & Known.MOVES) and not np.any(getattr(inner, "constant_values", 0) or 0)


def unstacks(call: Call) -> bool:
    """Whether a call takes the first axis away, along which images may have been stacked."""
    if not layer_kinds.of(call.inner) & Known.REDUCES or not layer_kinds.is_keras(call.inner):
        return False
    axis = getattr(call.inner, "axis", None)
    return axis is None or not {0, -len(call.sources[0].shape)}.isdisjoint(keras.tree.flatten(axis))


def moved(call: Call, given: Mapping[int, Array]) -> list[Array]:
    """What a call returns for arrays in the place of the symbolic tensors with those ids; zeros for all others."""

    def filled(leaf: Any) -> Any:
        if not keras.utils.is_keras_tensor(leaf):
            return leaf
        array = given.get(id(leaf))
        if array is None:
            array = np.zeros([size or 1 for size in leaf.shape], np.float32)
        return keras.ops.convert_to_tensor(np.asarray(array, np.float32))

    args, kwargs = keras.tree.map_structure(filled, (call.args, call.kwargs))
    outputs = aside(lambda: call.function(*args, **kwargs))
    return [keras.ops.convert_to_numpy(each) for each in keras.tree.flatten(outputs)]


@dataclass(frozen=True, eq=False)
class _Places:
    """The places that the numbers of a tensor stand for, of one image.

    Args:
        width: How many columns the feature maps have.
        numbers: 1 + row · width + column for each number, 0 where it stands for none; None where it isn't known. Its first
            axis is longer than 1 where windows of an image stand in the place of images.
        items: How long that first axis is.
    """

    width: int
    numbers: Array | None
    items: int = 1


@dataclass(frozen=True)
class Layout:
    """What the axes of a model's tensors stand for, by their ids.

    Args:
        grids: Of the tokens (N, T, C) that have one.
        windows: The tensors of which the first axis counts more than the images, such as windows of them, or something else.
        heads: The tensors (N, h, w, C) of which the axes after the first are no rows and columns, as of attention heads.
    """

    grids: Mapping[int, Grid]
    windows: Set[int]
    heads: Set[int]


def layout(twin: Twin) -> Layout:
    """What the axes of a twin's tensors stand for."""
    found: dict[int, Grid] = {}
    windows, heads = set(), set()
    here: dict[int, _Places] = {}

    def places(tensor: Any) -> _Places | None:
        if id(tensor) not in here and len(tensor.shape) == 4:
            here[id(tensor)] = _Places(tensor.shape[2] or 1, natural(tensor))
        return here.get(id(tensor))

    # Elsewhere every tensor has the images along its first axis, and feature maps behind it.
    many = any(len(tensor.shape) in (3, 5, 6) for call in twin.calls for tensor in keras.tree.flatten(call.output))
    for call in twin.calls if many or any(getattr(call.inner, "axis", None) == 0 for call in twin.calls) else ():
        outputs = keras.tree.flatten(call.output)
        for output, made in zip(outputs, _after(call, outputs, [places(source) for source in call.sources]), strict=True):
            if made is None:
                continue
            here[id(output)] = made
            grid = _grid(made) if len(output.shape) == 3 else None
            if grid is not None:
                found[id(output)] = grid
            # Where the axis of images isn't the first.
            if made.items > 1 or None in output.shape[1:]:
                windows.add(id(output))
            elif len(output.shape) == 4 and not _maps(made):
                heads.add(id(output))
    return Layout(found, windows, heads)


def natural(tensor: Any) -> Array:
    """1 + row · width + column for each number of one image's feature maps: (1, h, w, C)."""
    _, height, width, channels = (size or 1 for size in tensor.shape)
    numbers = np.arange(1, height * width + 1, dtype=np.float32).reshape(1, height, width, 1)
    return np.broadcast_to(numbers, (1, height, width, channels))


def _maps(places: _Places) -> bool:
    """Whether both axes of (1, h, w, C) tell places apart."""
    numbers = places.numbers
    if numbers is None or numbers.ndim != 4:
        return False
    (_, height, width, _), same = numbers.shape, [(numbers == numbers.take([0], axis)).all() for axis in (1, 2)]
    return not (same[0] and height > 1) and not (same[1] and width > 1)


def _after(call: Call, outputs: list[Any], given: list[_Places | None]) -> list[_Places | None]:
    """The places of what a call returns; None where it has new feature maps, or nothing is known."""
    known = [each for each in given if each is not None]
    if not known:
        return [None] * len(outputs)
    items, width = max(each.items for each in known), known[0].width
    lost = _Places(width, None, items)
    if layer_kinds.of(call.inner) & Known.BLANK and items == 1:
        return [_Places(width, np.zeros((1, *(size or 1 for size in each.shape[1:])), np.float32)) for each in outputs]
    if moves(call):
        arrays = {
            id(source): each.numbers
            for source, each in zip(call.sources, given, strict=True)
            if each is not None and each.numbers is not None and each.width == width
        }
        if not arrays and items > 1:
            return _without(call, outputs, items, width)
        found = moved(call, arrays) if arrays else [None] * len(outputs)
        return [None if each is None else _Places(width, each, len(each)) for each in found]
    if items > 1 and unstacks(call):
        return _without(call, outputs, items, width)
    return [_computed(call, output, given, lost) for output in outputs]


def _without(call: Call, outputs: list[Any], items: int, width: int) -> list[_Places | None]:
    """The outputs of a call given what stands in the place of images, after which images may stand there again.

    The length of the first axis tells; which places the numbers stand for is lost.
    """
    blank = {
        id(source): np.zeros([source.shape[0] or items, *(size or 1 for size in source.shape[1:])], np.float32)
        for source in call.sources
    }
    found = [_Places(width, None, len(each)) for each in moved(call, blank)]
    return [
        None if each.items == 1 and len(output.shape) == 4 else each for output, each in zip(outputs, found, strict=True)
    ]


def _computed(call: Call, output: Any, given: list[_Places | None], lost: _Places) -> _Places | None:
    rank, items = len(output.shape), lost.items
    # A layer with feature maps of its own.
    if rank == 4 and items == 1 and all(each is None or _maps(each) for each in given):
        return None
    kept = next((found for each in given if each is not None and (found := _kept(call, output, each)) is not None), None)
    if kept is not None or items > 1 or rank == 4:
        return kept or lost
    if rank != 3 or len(given) != 1 or layer_kinds.is_keras(call.inner):
        return None
    try:
        return _patches(call, output) if len(call.sources[0].shape) == 4 else _extended(call, given[0])
    # Someone else's layer may take whole images alone, or raise whatever it likes.
    except Exception as error:  # noqa: BLE001
        check_interrupted(error)
        return None


def _kept(call: Call, output: Any, given: _Places) -> _Places | None:
    """The places of a layer that computes each token's numbers of that token's, or looks from it at others."""
    places, shape = _coarse(given), tuple(output.shape)
    if (
        places is None
        or places.numbers is None
        or places.numbers.ndim != len(shape)
        or layer_kinds.of(call.inner) & Known.SHUFFLES
    ):
        return None
    if shape[1:-1] != places.numbers.shape[1:-1]:
        return None
    return replace(places, numbers=np.broadcast_to(places.numbers[..., :1], (*places.numbers.shape[:-1], shape[-1] or 1)))


def _coarse(places: _Places) -> _Places | None:
    """The same where the numbers along the last axis stand for one place, or for a block of them, which becomes one place.

    None where they stand for others, or all of them for all places.
    """
    if places.numbers is None or (places.numbers == places.numbers[..., :1]).all():
        return places
    numbers = places.numbers.astype(int) - 1
    none = (numbers < 0).all(axis=-1)
    if ((numbers < 0).any(axis=-1) != none).any():
        return None
    rows, columns = np.divmod(numbers, places.width)
    (top, high), (left, wide) = ((each.min(axis=-1), np.ptp(each, axis=-1) + 1) for each in (rows, columns))
    high, wide = high[~none], wide[~none]
    tall, broad = int(high[0]), int(wide[0])
    if (high != tall).any() or (wide != broad).any() or places.width % broad or places.width == broad:
        return None
    if (top[~none] % tall).any() or (left[~none] % broad).any():
        return None
    coarse = np.where(none, 0, 1 + top // tall * (places.width // broad) + left // broad)
    return _Places(places.width // broad, coarse[..., None].astype(np.float32), places.items)


def _grid(places: _Places) -> Grid | None:
    """The grid of tokens (1, T, C): each place of a rectangle once."""
    coarse = _coarse(places)
    if coarse is None or coarse.numbers is None or coarse.items != 1:
        return None
    numbers = coarse.numbers[0, :, 0].astype(int)
    tokens = np.flatnonzero(numbers)
    rows, columns = np.divmod(numbers[tokens] - 1, coarse.width)
    high, wide = np.unique(rows), np.unique(columns)
    if len(tokens) < 2 or len(tokens) != len(high) * len(wide) or len(np.unique(numbers[tokens])) != len(tokens):
        return None
    order = tokens[np.lexsort((columns, rows))]
    return Grid(len(high), len(wide), tuple(map(int, order)), tuple(map(int, np.flatnonzero(numbers == 0))))


def _patches(call: Call, output: Any) -> _Places | None:
    """The places of tokens that a layer of someone else's makes of feature maps, found by changing these.

    One band of rows or of columns after the other is changed, of square patches in as many rows and columns as there are
    tokens. A token that stays stands for no place.
    """
    (source,), tokens = call.sources, output.shape[1]
    height, width = source.shape[1:3]
    x = np.random.default_rng(0).normal(size=(1, *source.shape[1:])).astype(np.float32)
    for others in range(min(tokens or 0, OTHERS)):
        rows = max(1, math.isqrt((tokens - others) * height // width))
        columns = (tokens - others) // rows
        if rows * columns != tokens - others or height % rows or width % columns or rows * columns < 2:
            continue
        images = np.repeat(x, 1 + rows + columns, axis=0)
        for row in range(rows):
            images[1 + row, row * height // rows : (row + 1) * height // rows] += 1
        for column in range(columns):
            images[1 + rows + column, :, column * width // columns : (column + 1) * width // columns] += 1
        changes = _changed(call, images)
        none = ~changes.any(axis=0)
        alone = [(each.sum(axis=0) == ~none).all() for each in (changes[:rows], changes[rows:])]
        if none.sum() == others and all(alone):
            numbers = 1 + changes[:rows].argmax(axis=0) * columns + changes[rows:].argmax(axis=0)
            return _Places(columns, np.where(none, 0, numbers)[None, :, None].astype(np.float32))
    return None


def _extended(call: Call, given: _Places | None) -> _Places | None:
    """The places of tokens among which a layer puts others: those stay when all that it is given changes."""
    places = None if given is None else _coarse(given)
    if places is None or places.numbers is None or places.numbers.ndim != 3:
        return None
    x = np.random.default_rng(0).normal(size=(1, *call.sources[0].shape[1:])).astype(np.float32)
    (changes,) = _changed(call, np.concatenate([x, x + 1]))
    if changes.sum() != x.shape[1]:
        return None
    numbers = np.zeros((1, len(changes), 1), np.float32)
    numbers[:, changes] = places.numbers[..., :1]
    return replace(places, numbers=numbers)


def _changed(call: Call, arrays: Array) -> Array:
    """Which tokens differ from those of the first array, for each of the others."""
    (tokens,) = moved(call, {id(call.sources[0]): arrays})
    return np.asarray((tokens[1:] != tokens[:1]).any(axis=-1))
