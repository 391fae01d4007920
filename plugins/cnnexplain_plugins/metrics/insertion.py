"""Insertion: how fast the output rises while the most relevant pixels are shown first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from cnnexplain.plugin import Metric
from cnnexplain_plugins.metrics import ranking

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float, Float32, Float64

    from cnnexplain import Classifier


def run(
    maps: Float[np.ndarray, "M H W"],
    image: Float32[np.ndarray, "H W C"],
    classifier: Classifier,
    evaluate: Callable[..., Mapping[str, Float[np.ndarray, " K"]]],
    random: np.random.Generator,
    *,
    steps: int = ranking.STEPS,
) -> dict[str, Float64[np.ndarray, " M"]]:
    """The mean output while the pixels are inserted into a baseline, the most relevant first.

    Petsiuk et al. 2018, section 4.2: the area under the curve of the probability of the target over the share of the pixels
    that are shown, the others being those of the blurred image, or here also black; and the same for the logit.
    """
    paths = {fill: (baseline, image) for fill, baseline in ranking.baselines(image, classifier).items()}
    return ranking.areas(maps, paths, evaluate, random, steps)


METRIC = Metric(
    "insertion",
    run,
    "Petsiuk, Das, Saenko 2018 (arXiv:1806.07421)",
    scores=dict.fromkeys(ranking.SCORES, "higher"),
    protocol=ranking.PROTOCOL,
    limitations="A few connected pixels on a black background can look like the object, whatever the network used: on "
    "digits, the brightness of the image itself scores as high as any method.",
)
