"""The control of a record, `Record.control`: its names in files."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Shaped

    from cnnexplain.results.record import Record

PREFIX = "control/"
"""The prefix of the names of the control's arrays in the file of arrays."""

CORRELATION = "control_rank_correlation"
"""The fact with Spearman's rank correlation of the main map and that of the control, for each image."""


def control_name(arrays: Iterable[str], facts: Iterable[str]) -> str | None:
    """The first name of an array or a fact that only a result with a control may have."""
    return next((name for name in [*arrays, *facts] if name.startswith(PREFIX) or name == CORRELATION), None)


def all_arrays(record: Record) -> dict[str, Shaped[np.ndarray, " ..."]]:
    """The arrays of a record and of its control, by their names in the file of arrays."""
    control = {} if record.control is None else record.control.arrays
    return {**record.arrays, **{PREFIX + name: array for name, array in control.items()}}


def take_arrays(arrays: dict[str, Shaped[np.ndarray, " ..."]]) -> dict[str, Shaped[np.ndarray, " ..."]]:
    """Removes the arrays of the control from those of a file, and returns them by their own names."""
    names = [name for name in arrays if name.startswith(PREFIX)]
    return {name.removeprefix(PREFIX): arrays.pop(name) for name in names}


def without(record: Record) -> Record:
    """A record without its control."""
    facts = {name: fact for name, fact in record.facts.items() if name != CORRELATION}
    return replace(record, facts=facts, control=None)
