"""Parts of a network that an analysis does not show: other calls of the same layer, and layers inside nested classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cnnexplain.model.classifier import Classifier

LISTED = 6
"""The most other calls that a warning names."""


def other_calls_warning(classifier: Classifier, shown: Sequence[str]) -> list[str]:
    """A warning if layers with several calls are shown at one of them, as in the branches of a siamese network.

    Args:
        classifier: The model.
        shown: The names of the layers that are shown.

    Returns:
        The warning, which names the other calls; empty if there are none.
    """
    others = {other: name for name in shown for other in classifier.other_calls(name) if other not in shown}
    if not others:
        return []
    names = ", ".join([*others][:LISTED]) + (f" and {len(others) - LISTED} more" if len(others) > LISTED else "")
    other, shown_one = next(iter(others.items()))
    # The models that contain the layer may be nested at different depths.
    paths = zip(other.split("/"), shown_one.split("/"), strict=False)
    called = next((mine for theirs, mine in paths if theirs != mine), shown_one).partition(":")[0]
    return [
        f"The model calls '{called}' several times, and '{shown_one}' is shown; on other paths there "
        f"{'are' if len(others) > 1 else 'is'} {names}."
    ]


def opaque_layers(classifier: Classifier) -> str:
    """A phrase for errors about missing layers: a class with a call() of its own may contain them."""
    if not classifier.closed:
        return ""
    return f" (the layers inside '{classifier.closed[0]}' are not accessible, as it has a call() of its own)"
