"""How large a difference rounding may cause."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cnnexplain.model.classifier import Classifier

ROUNDING = 1e-4
"""The difference that rounding may cause, relative to the largest magnitude: about a thousand units in the last place of
single precision, which a deep network, or a sum of thousands of terms, may accumulate."""

HALF = 100
"""The factor by which rounding changes the results of a network in half precision more than in single precision."""


def rounding(classifier: Classifier) -> float:
    """`ROUNDING`, or `HALF` times as much for a network with layers in half precision."""
    precisions = {getattr(layer, "compute_dtype", None) for layer in classifier.model.layers}
    return ROUNDING * HALF if precisions & {"float16", "bfloat16"} else ROUNDING
