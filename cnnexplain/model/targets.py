"""Which class or value a user means: by label or by number."""

from __future__ import annotations

import operator
import re
from collections.abc import Sequence

from cnnexplain.errors import UsageError, shown, suggest
from cnnexplain.model import heads
from cnnexplain.model.objectives import is_index

LISTED = 40
"""How many classes an error names before it counts the rest."""


def find(wanted: int | str, labels: Sequence[str], *, values: bool) -> int:
    """The index of a class given by label or index; a string that is a label counts as that label first.

    Args:
        wanted: The label or index. Of a label that is a list of words, as ImageNet's "tabby, tabby cat" is, one of them will
            do. Of values "NAME up" and "NAME down" say whether what raises it or what lowers it is meant, and of one value
            alone "up" and "down".
        labels: The names of the classes; of values, their names, then "NAME down" for each.
        values: Whether the model returns values.

    Raises:
        UsageError: There is no such class, or there are several.
    """
    if not isinstance(wanted, str) and not is_index(wanted):
        raise UsageError(f"There is no class labeled '{shown(wanted)}': a class has a label and a number.")
    if values and isinstance(wanted, str):
        wanted = heads.direction(wanted, labels)
    named = [index for index, label in enumerate(labels) if wanted == label]
    named = named or [index for index, label in enumerate(labels) if wanted in label.split(", ")]
    if len(named) > 1:
        raise UsageError(f"'{wanted}' may be any of the classes {_numbered(named, labels)}; give the number of one.")
    if named:
        return named[0]
    index = _number(wanted)
    if index is None:
        raise heads.no_value(wanted, labels) if values else _unknown(str(wanted), labels)
    # What the user types counts the values alone.
    if values and not 0 <= index < (len(labels) // 2 if isinstance(wanted, str) else len(labels)):
        raise heads.no_value(index, labels)
    if not 0 <= index < len(labels):
        raise UsageError(f"There is no class {shown(index)}: the model has {len(labels)}, 0 to {len(labels) - 1}.")
    return index


def _number(wanted: int | str) -> int | None:
    """The number that is meant; None where it is none."""
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
