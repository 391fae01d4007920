"""Names of classes, objectives and images in pictures."""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import TYPE_CHECKING

from cnnexplain.draw.text import legible, shorten

if TYPE_CHECKING:
    from cnnexplain.results.record import Record


def class_name(record: Record, index: int, length: int = 30) -> str:
    """The name of a class in at most `length` characters: its label up to the first comma, if no other class shares that.

    ImageNet's labels list several names, such as "tabby, tabby cat", and two of its classes are called "crane".
    """
    label = record.labels[index]
    first = label.partition(",")[0].strip()
    unique = sum(other.partition(",")[0].strip() == first for other in record.labels) == 1
    return legible(shorten(first if first and unique else label, length))


def objective_name(record: Record, objective: str) -> str:
    """An objective such as "tabby, tabby cat − lynx, catamount" with its classes named as by `class_name`."""
    indices = {label: index for index, label in enumerate(record.labels)}
    parts = re.split(r"(^−| [−+] |[\d.e+-]+ · )", objective)
    return legible("".join(class_name(record, indices[part]) if part in indices else part for part in parts))


def source_name(given: str) -> str:
    """The name of an image: its file name without the folder, or a sample such as "mnist:test/42" unchanged."""
    return given if re.match(r"\w+:\w+/", given) else PurePath(given).name
