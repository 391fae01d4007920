"""Finds the class or value that a user names, by label or index."""

from __future__ import annotations

import operator
import re
from collections.abc import Sequence

from cnnexplain.errors import UsageError, shown, suggest
from cnnexplain.model.computation.objectives import is_index
from cnnexplain.model.head import heads

LISTED = 40
"""The most classes that an error names before it counts the rest."""


def find(wanted: int | str, labels: Sequence[str], *, values: bool) -> int:
    """The index of a class given by label or index; a number as text is a label if there is one.

    Args:
        wanted: The label or index. For a label with several words, such as ImageNet's "tabby, tabby cat", one of them
            suffices. For values, "NAME up" and "NAME down" are what increases and what decreases a value; for a single
            value, so are "up" and "down".
        labels: The names of the classes; for values, their names, then "NAME down" for each.
        values: Whether the model returns values.

    Raises:
        UsageError: There is no such class, or there are several.
    """
    if not isinstance(wanted, str) and not is_index(wanted):
        raise UsageError(f"There is no class labeled '{shown(wanted)}': a class has a label and a number.")
    if values and isinstance(wanted, str):
        wanted = heads.direction(wanted, labels)
    named: list[int] = []
    if isinstance(wanted, str):
        named = [index for index, label in enumerate(labels) if wanted == label]
        named = named or [index for index, label in enumerate(labels) if wanted in label.split(", ")]
    if len(named) > 1:
        raise UsageError(f"'{wanted}' may be any of the classes {_numbered(named, labels)}; give the number of one.")
    if named:
        return named[0]
    index = _number(wanted)
    if index is None:
        raise heads.no_value(wanted, labels) if values else _unknown(str(wanted), labels)
    # Numbers as text count only the values.
    if values and not 0 <= index < (len(labels) // 2 if isinstance(wanted, str) else len(labels)):
        raise heads.no_value(index, labels)
    if not 0 <= index < len(labels):
        raise UsageError(f"There is no class {shown(index)}: the model has {len(labels)}, 0 to {len(labels) - 1}.")
    return index


def _number(wanted: int | str) -> int | None:
    """The number; None if it is not one."""
    try:
        if isinstance(wanted, bool):
            return None
        return int(wanted) if isinstance(wanted, str) else operator.index(wanted)
    except ValueError:
        return None


def _unknown(wanted: str, labels: Sequence[str]) -> UsageError:
    word = re.compile(rf"\b{re.escape(wanted)}\b", re.IGNORECASE)
    holding = [index for index, label in enumerate(labels) if word.search(label)]
    if holding:
        hint = f" These contain the word: {_numbered(holding, labels)}; give a number or a whole name."
    else:
        hint = (
            f"{suggest(wanted, [name for label in labels for name in label.split(', ')])} The model has "
            f"{len(labels)} classes, '{labels[0]}' to '{labels[-1]}'."
        )
    return UsageError(f"There is no class labeled '{wanted}'.{hint}")


def _numbered(classes: Sequence[int], labels: Sequence[str]) -> str:
    more = f" and {len(classes) - LISTED} more" if len(classes) > LISTED else ""
    return ", ".join(f"{index} ({labels[index]})" for index in classes[:LISTED]) + more
