"""What identifies a record: a hash of its options, targets and arrays."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from cnnexplain.results import json_files
from cnnexplain.results.control import all_arrays

if TYPE_CHECKING:
    from cnnexplain.results.record import Record


def of_record(record: Record) -> str:
    """The SHA-256 hash, in hexadecimal. It is the same for a record that was saved and loaded."""
    targets = [[explained.target, explained.objective] for explained in record.explained]
    digest = hashlib.sha256(json_files.dumps([record.analysis.name, dict(record.options), targets]).encode())
    for name, array in sorted({"input": record.images, **all_arrays(record)}.items()):
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()
