"""Joins consecutive records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from cnnexplain.results.verification import joined

if TYPE_CHECKING:
    from jaxtyping import Shaped

    from cnnexplain.results.record import Record


def join(records: list[Record]) -> Record:
    """Joins consecutive records, such as the parts of a result, into one.

    Results that belong to no single image are in the first record only. The list is emptied and each array is joined by
    itself, so that a large result is not in memory twice.

    Raises:
        KeyError, ValueError: The records are not parts of one result.
    """
    if len(records) == 1:
        return records.pop()
    first, *others = records
    names = others[0].arrays
    own = {name: array for name, array in first.arrays.items() if name not in names}
    columns = {name: [record.arrays[name] for record in records] for name in names}
    images = [record.images for record in records]
    # A view would keep the images in memory.
    bare = [replace(record, images=record.images[:0].copy(), arrays={}) for record in records]
    records.clear()
    del first, others, names
    return replace(
        _joined(bare),
        images=_concatenated(images),
        arrays={**own, **{name: _concatenated(columns.pop(name)) for name in list(columns)}},
    )


def _concatenated(arrays: list[Shaped[np.ndarray, "_ ..."]]) -> Shaped[np.ndarray, "_ ..."]:
    """Joins arrays along the first axis and empties the list, so that each one is freed as soon as it is copied."""
    like = np.concatenate([array[:0] if array.ndim else array for array in arrays])
    joined = np.empty((sum(map(len, arrays)), *like.shape[1:]), like.dtype)
    start = 0
    while arrays:
        array = arrays.pop(0)
        joined[start : start + len(array)] = array
        start += len(array)
    return joined


def _joined(records: Sequence[Record]) -> Record:
    """Joins everything but the arrays."""
    first, last = records[0], records[-1]
    verifications = [record.verification for record in records]
    return replace(
        first,
        explained=tuple(explained for record in records for explained in record.explained),
        facts={**first.facts, **{name: [fact for each in records for fact in each.facts[name]] for name in last.facts}},
        warnings=tuple(dict.fromkeys(warning for record in records for warning in record.warnings)),
        seconds=sum(record.seconds for record in records),
        span=range(first.span.start, last.span.stop),
        skipped={name: reason for record in records for name, reason in record.skipped.items()},
        verification=None if None in verifications else joined([each for each in verifications if each is not None]),
    )
