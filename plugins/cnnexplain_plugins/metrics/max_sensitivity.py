"""Max-sensitivity: how much a map can change when the image hardly does."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from cnnexplain.plugin import Metric

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float, Float32, Float64

    from cnnexplain import Classifier

SAMPLES, RADIUS = 10, 0.02
"""The number of noisy copies, and the largest change of a value relative to the distance from black to white."""


def run(
    maps: Float[np.ndarray, "M H W"],
    image: Float32[np.ndarray, "H W C"],
    classifier: Classifier,
    explain: Callable[..., Float64[np.ndarray, "M n H W"]],
    random: np.random.Generator,
) -> dict[str, Float64[np.ndarray, " M"]]:
    """The largest relative change of a map under tiny noise in the image, for the same class.

    Yeh et al. 2019, definition 2.2: max ‖φ(y) − φ(x)‖ over images y with ‖y − x‖_∞ ≤ r, estimated with uniform noise; here
    relative to ‖φ(x)‖. It is not defined for a map of zeros, nor for maps from files.
    """
    import numpy as np

    preprocess = classifier.preprocess
    radius = RADIUS * np.abs(preprocess.white - preprocess.black)
    noise = random.uniform(-1, 1, (SAMPLES, *image.shape)) * radius
    again = explain((image + noise).astype(np.float32))
    changes = np.sqrt(((again - maps[:, None]) ** 2).sum(axis=(2, 3))).max(axis=1)
    lengths = np.sqrt((maps**2).sum(axis=(1, 2)))
    return {"relative": np.divide(changes, lengths, out=np.full(len(maps), np.nan), where=lengths > 0)}


METRIC = Metric(
    "max-sensitivity",
    run,
    "Yeh, Hsieh, Suggala, Inouye, Ravikumar 2019 (arXiv:1901.09392)",
    scores={"relative": "lower"},
    protocol=f"{SAMPLES} copies with uniform noise of up to {RADIUS:.0%} of the distance from black to white, the same for "
    "all methods.",
    limitations="A map that ignores the image and the network has the best score, 0; stable is not the same as right.",
    default=False,
)
