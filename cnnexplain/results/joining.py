"""Joins consecutive records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from cnnexplain.results.record import Record


def join(records: Sequence[Record]) -> Record:
    """Joins consecutive records, such as the parts of a result, into one.

    Results that belong to no single image are in the first record only.

    Raises:
        KeyError, ValueError: The records are not parts of one result.
    """
    first, *others = records
    if not others:
        return first
    names, facts = others[0].arrays, others[0].facts
    return replace(
        first,
        images=np.concatenate([record.images for record in records]),
        explained=tuple(explained for record in records for explained in record.explained),
        arrays={**first.arrays, **{name: np.concatenate([each.arrays[name] for each in records]) for name in names}},
        facts={**first.facts, **{name: [fact for each in records for fact in each.facts[name]] for name in facts}},
        warnings=tuple(dict.fromkeys(warning for record in records for warning in record.warnings)),
        seconds=sum(record.seconds for record in records),
        span=range(first.span.start, others[-1].span.stop),
        skipped={name: reason for record in records for name, reason in record.skipped.items()},
    )
