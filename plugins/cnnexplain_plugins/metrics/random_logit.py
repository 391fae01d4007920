"""Random logit: how similar the map is to the one for another class."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from cnnexplain.plugin import Metric

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float, Float32, Float64

    from cnnexplain import Classifier

WINDOW, FIRST, SECOND = 7, 0.01, 0.03
"""The side of the windows of SSIM, and its constants K1 and K2."""


def run(
    maps: Float[np.ndarray, "M H W"],
    image: Float32[np.ndarray, "H W C"],
    target: int,
    classifier: Classifier,
    explain: Callable[..., Float64[np.ndarray, "M n H W"]],
    random: np.random.Generator,
) -> dict[str, Float64[np.ndarray, " M"]]:
    """The structural similarity of a map and the map of the same method for another, random class.

    Sixt et al. 2020, section 5: a map that explains the class should change with it. SSIM is that of Wang et al. 2004, after
    each map is divided by its largest magnitude, and the common range of both becomes that from 0 to 1. It is not defined
    for a map of zeros, for maps from files, nor for a model with a single output, which has no other class or value.
    """
    import numpy as np

    found = np.full(len(maps), np.nan)
    if classifier.outputs < 2:
        return {"SSIM": found}
    # The targets of a model of values are what increases each, then what decreases each.
    direction, own = divmod(target, classifier.outputs)
    other = int(random.choice(np.delete(np.arange(classifier.outputs), own))) + direction * classifier.outputs
    again = explain(image[None], target=other)[:, 0]
    peaks = [np.abs(each).max(axis=(1, 2)) for each in (maps, again)]
    for number in np.flatnonzero((peaks[0] > 0) & (peaks[1] > 0)):
        found[number] = ssim(*unit_range(maps[number] / peaks[0][number], again[number] / peaks[1][number]))
    return {"SSIM": found}


def unit_range(
    first: Float[np.ndarray, "H W"], second: Float[np.ndarray, "H W"]
) -> tuple[Float[np.ndarray, "H W"], Float[np.ndarray, "H W"]]:
    """Two maps mapped alike such that their common range becomes [0, 1].

    SSIM is made for intensities. Of signed values, it multiplies two negative factors for a map and its negative.
    """
    low, high = min(first.min(), second.min()), max(first.max(), second.max())
    span = (high - low) or 1.0
    return (first - low) / span, (second - low) / span


def ssim(first: Float[np.ndarray, "H W"], second: Float[np.ndarray, "H W"]) -> float:
    """The structural similarity of two maps with values from 0 to 1, the mean over all windows within them."""
    import numpy as np

    side = min(WINDOW, *first.shape)

    def mean(values: Float[np.ndarray, "H W"]) -> Float64[np.ndarray, "h w"]:
        windows = np.lib.stride_tricks.sliding_window_view(values, (side, side))
        return np.asarray(windows.mean(axis=(2, 3)))

    means = mean(first), mean(second)
    # A window of a single pixel has no variance to correct.
    unbiased = side**2 / (side**2 - 1) if side > 1 else 1.0
    variances = [unbiased * (mean(each**2) - own**2) for each, own in zip((first, second), means, strict=True)]
    covariance = unbiased * (mean(first * second) - means[0] * means[1])
    c1, c2 = FIRST**2, SECOND**2
    similarity = (2 * means[0] * means[1] + c1) * (2 * covariance + c2)
    return float((similarity / ((means[0] ** 2 + means[1] ** 2 + c1) * (variances[0] + variances[1] + c2))).mean())


METRIC = Metric(
    "random-logit",
    run,
    "Sixt, Granz, Landgraf 2020 (arXiv:1912.09818)",
    scores={"SSIM": "lower"},
    protocol=f"One other class for each image, the same for all methods; both maps scaled by their largest magnitudes and "
    f"then alike to the range from 0 to 1; windows of {WINDOW}×{WINDOW} pixels.",
    limitations="Noise differs between any two classes, so a low score does not show that a map is right; and classes that "
    "look alike share evidence.",
)
