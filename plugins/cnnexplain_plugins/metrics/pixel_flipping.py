"""Pixel flipping: how the logit falls while pixels become noise, the most or the least relevant first."""

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
    """The mean fall of the logit while pixels become noise: the most relevant first (MoRF), or the least (LeRF).

    Samek et al. 2017, section III (AOPC): the mean of f(x) − f(x_k) over the steps k = 0, …, L, where pixels are replaced by
    uniform random values between black and white. The paper perturbs regions of 9×9 pixels and averages several draws; here
    single pixels are replaced, with one draw. The gap is that of MoRF minus that of LeRF.
    """
    import numpy as np

    ranks, counts = ranking.pixel_ranks(maps, random), ranking.steps(maps[0].size, steps)
    noise = classifier.preprocess.between(random.uniform(size=image.shape).astype(np.float32))
    both = np.concatenate([ranks, maps[0].size - 1 - ranks])
    curves = ranking.replaced(both, image, noise, counts, evaluate)["logit"]
    most, least = np.split((curves[:, :1] - curves).mean(axis=1), 2)
    return {"gap": most - least, "MoRF": most, "LeRF": least}


METRIC = Metric(
    "pixel-flipping",
    run,
    "Samek, Binder, Montavon, Lapuschkin, Müller 2017 (arXiv:1509.06321)",
    scores={"gap": "higher", "MoRF": "higher", "LeRF": "lower"},
    protocol=f"{ranking.STEPS} equal steps from the image to uniform noise; single pixels and one draw for each image, "
    f"where the paper has regions of 9×9 pixels and averages draws; {ranking.TIES}.",
    limitations="The network may react to the noise itself: the fall measures how sensitive it is to noise at these pixels "
    "as much as their evidence.",
)
