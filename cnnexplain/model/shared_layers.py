"""What of a network an analysis doesn't show: other calls of the same layer, and what nested classes hide."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cnnexplain.model.classifier import Classifier

LISTED = 6
"""So many other calls are named."""


def other_calls_warning(classifier: Classifier, shown: Sequence[str]) -> list[str]:
    """A warning where layers are shown at one of several calls, as the branches of a siamese network have them.

    Args:
        classifier: The model.
        shown: The names of the layers that are shown.

    Returns:
        The warning, which names the other calls; empty where there are none.
    """
    others = {other: name for name in shown for other in classifier.other_calls(name) if other not in shown}
    if not others:
        return []
    names = ", ".join([*others][:LISTED]) + (f" and {len(others) - LISTED} more" if len(others) > LISTED else "")
    other, shown_one = next(iter(others.items()))
    # A layer may stand in models of another depth.
    paths = zip(other.split("/"), shown_one.split("/"), strict=False)
    called = next((mine for theirs, mine in paths if theirs != mine), shown_one).partition(":")[0]
    return [
        f"The model calls '{called}' several times, and '{shown_one}' is shown; on other paths there "
        f"{'are' if len(others) > 1 else 'is'} {names}."
    ]


def opaque_layers(classifier: Classifier) -> str:
    """A phrase for a refusal of a network without some layers: classes with a call() of their own may hide them."""
    if not classifier.closed:
        return ""
    return f" (what '{classifier.closed[0]}' computes by a call() of its own can't be looked into)"
