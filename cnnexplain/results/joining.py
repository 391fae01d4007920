"""Joins consecutive records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnexplain.plugin.analysis import Result
from cnnexplain.results.control import without
from cnnexplain.results.verification import joined

if TYPE_CHECKING:
    from jaxtyping import Shaped

    from cnnexplain.results.record import Record


def join(records: list[Record]) -> Record:
    """Joins consecutive records, such as the parts of a result, into one.

    Results that belong to no single image are in the first record only. If a record has no control, because its shuffled
    network could not be explained, the joined record has none. The list is emptied and each array is joined by
    itself, so that a large result is not in memory twice.

    Raises:
        KeyError, ValueError: The records are not parts of one result.
    """
    if len(records) == 1:
        return records.pop()
    if any(record.control is None for record in records):
        records[:] = map(without, records)
    first, *others = records
    names = others[0].arrays
    own = {name: array for name, array in first.arrays.items() if name not in names}
    columns = {name: [record.arrays[name] for record in records] for name in names}
    images = [record.images for record in records]
    controls = [record.control for record in records if record.control is not None]
    # A view would keep the images in memory.
    bare = [replace(record, images=record.images[:0].copy(), arrays={}, control=None) for record in records]
    records.clear()
    del first, others, names
    return replace(
        _joined(bare),
        images=_concatenated(images),
        arrays={**own, **{name: _concatenated(columns.pop(name)) for name in list(columns)}},
        control=_joined_controls(controls) if controls else None,
    )


def _joined_controls(controls: list[Result]) -> Result:
    """Joins the controls of consecutive records and empties the list."""
    columns = {name: [control.arrays[name] for control in controls] for name in controls[0].arrays}
    facts = _joined_facts([control.facts for control in controls])
    controls.clear()
    return Result({name: _concatenated(columns.pop(name)) for name in list(columns)}, facts)


def _joined_facts(facts: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Joins facts with an entry for each image."""
    return {name: [fact for each in facts for fact in each[name]] for name in facts[-1]}


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
        facts={**first.facts, **_joined_facts([record.facts for record in records])},
        warnings=tuple(dict.fromkeys(warning for record in records for warning in record.warnings)),
        seconds=sum(record.seconds for record in records),
        span=range(first.span.start, last.span.stop),
        skipped={name: reason for record in records for name, reason in record.skipped.items()},
        verification=None if None in verifications else joined([each for each in verifications if each is not None]),
    )
