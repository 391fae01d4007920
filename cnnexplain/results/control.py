"""The control of a record, `Record.control`: its names in files, and its record."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from cnnexplain.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Shaped

    from cnnexplain.results.record import Record

PREFIX = "control/"
"""The prefix of the names of the control's arrays in the file of arrays."""

CORRELATION = "control_rank_correlation"
"""The fact with Spearman's rank correlation of the main map and that of the control, for each image."""


def all_arrays(record: Record) -> dict[str, Shaped[np.ndarray, " ..."]]:
    """The arrays of a record and of its control, by their names in the file of arrays."""
    control = {} if record.control is None else record.control.arrays
    return {**record.arrays, **{PREFIX + name: array for name, array in control.items()}}


def take_arrays(arrays: dict[str, Shaped[np.ndarray, " ..."]]) -> dict[str, Shaped[np.ndarray, " ..."]]:
    """Removes the arrays of the control from those of a file, and returns them by their own names."""
    names = [name for name in arrays if name.startswith(PREFIX)]
    return {name.removeprefix(PREFIX): arrays.pop(name) for name in names}


def as_record(record: Record) -> Record:
    """The control of a record as a record of its own; see `Record.control_record`."""
    control = record.control
    if control is None:
        raise UsageError(f"This record of '{record.analysis.name}' has no control; explain it with control=True.")
    own = replace(record, arrays=control.arrays, facts=control.facts, control=None)
    return replace(own, analysis=replace(record.analysis, overview=None), warnings=(), verification=None)
