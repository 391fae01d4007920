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
    each map is divided by its largest magnitude. It is not defined for a map of zeros, nor for maps from files.
    """
    import numpy as np

    others = np.delete(np.arange(len(classifier.labels)), target)
    other = int(random.choice(others))
    again = explain(image[None], target=other)[:, 0]
    peaks = [np.abs(each).max(axis=(1, 2)) for each in (maps, again)]
    found = np.full(len(maps), np.nan)
    for number in np.flatnonzero((peaks[0] > 0) & (peaks[1] > 0)):
        found[number] = ssim(maps[number] / peaks[0][number], again[number] / peaks[1][number])
    return {"SSIM": found}


def ssim(first: Float[np.ndarray, "H W"], second: Float[np.ndarray, "H W"]) -> float:
    """The structural similarity of two maps from −1 to 1, the mean over all windows within them."""
    import numpy as np

    side = min(WINDOW, *first.shape)

    def mean(values: Float[np.ndarray, "H W"]) -> Float64[np.ndarray, "h w"]:
        windows = np.lib.stride_tricks.sliding_window_view(values, (side, side))
        return np.asarray(windows.mean(axis=(2, 3)))

    means = mean(first), mean(second)
    unbiased = side**2 / (side**2 - 1)
    variances = [unbiased * (mean(each**2) - own**2) for each, own in zip((first, second), means, strict=True)]
    covariance = unbiased * (mean(first * second) - means[0] * means[1])
    # The values range from −1 to 1.
    c1, c2 = (FIRST * 2) ** 2, (SECOND * 2) ** 2
    similarity = (2 * means[0] * means[1] + c1) * (2 * covariance + c2)
    return float((similarity / ((means[0] ** 2 + means[1] ** 2 + c1) * (variances[0] + variances[1] + c2))).mean())


METRIC = Metric(
    "random-logit",
    run,
    "Sixt, Granz, Landgraf 2020 (arXiv:1912.09818)",
    scores={"SSIM": "lower"},
    protocol=f"One other class for each image, the same for all methods; windows of {WINDOW}×{WINDOW} pixels.",
    limitations="Noise differs between any two classes, so a low score does not show that a map is right; and classes that "
    "look alike share evidence.",
)
