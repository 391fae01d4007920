"""Deletion: how fast the output falls while the most relevant pixels are replaced first."""

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
    """The mean output while the pixels are deleted, the most relevant first.

    Petsiuk et al. 2018, section 4.2: the area under the curve of the probability of the target over the share of the pixels
    that are replaced by black, or here also by the blurred image; and the same for the logit.
    """
    paths = {fill: (image, baseline) for fill, baseline in ranking.baselines(image, classifier).items()}
    return ranking.areas(maps, paths, evaluate, random, steps)


METRIC = Metric(
    "deletion",
    run,
    "Petsiuk, Das, Saenko 2018 (arXiv:1806.07421)",
    scores=dict.fromkeys(ranking.SCORES, "lower"),
    protocol=ranking.PROTOCOL,
    limitations="Images with deleted pixels are unlike any that the network was trained on, and the fill favors methods "
    "with the same baseline: deletion to black favors a black baseline.",
)
