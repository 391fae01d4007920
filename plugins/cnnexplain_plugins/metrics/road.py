"""ROAD: how the output changes when pixels are removed and imputed from their neighbors, so that no edges appear."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from cnnexplain.plugin import Metric
from cnnexplain_plugins.metrics import ranking

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float, Float32, Float64

    from cnnexplain import Classifier

SHARES = (0.1, 0.3, 0.5, 0.7, 0.9)
"""The shares of the pixels that are removed."""

NOISE = 0.01
"""The standard deviation of the noise, relative to the distance from black to white."""


def run(
    maps: Float[np.ndarray, "M H W"],
    image: Float32[np.ndarray, "H W C"],
    classifier: Classifier,
    evaluate: Callable[..., Mapping[str, Float[np.ndarray, " K"]]],
    random: np.random.Generator,
) -> dict[str, Float64[np.ndarray, " M"]]:
    """The mean probability after pixels are removed and imputed: the most relevant ones (MoRF), or the least (LeRF).

    Rong et al. 2022, section 4: removed pixels become weighted means of their neighbors plus noise, so that they reveal
    neither their values nor the shape of the removed region. The paper reports the accuracy of the model, here it is the
    probability of the target (the value of a model of values). The gap is LeRF minus MoRF.
    """
    import numpy as np

    from cnnexplain_plugins.metrics.imputation import imputed

    ranks, pixels = ranking.pixel_ranks(maps, random), maps[0].size
    counts = np.clip(np.round(np.array(SHARES) * pixels), 1, pixels - 1).astype(np.int64)
    preprocess = classifier.preprocess
    deviation = NOISE * np.abs(preprocess.white - preprocess.black)
    noise = random.normal(size=image.shape) * deviation
    both = np.concatenate([ranks, pixels - 1 - ranks])
    which, cuts = np.repeat(np.arange(len(both)), len(counts)), np.tile(counts, len(both))

    def make(part: slice) -> Float32[np.ndarray, "n H W C"]:
        return imputed(image, both[which[part]] < cuts[part, None, None], noise)

    outputs = evaluate(len(which), make)
    values = outputs["logit" if classifier.head == "values" else "probability"]
    most, least = np.split(values.reshape(len(both), -1).mean(axis=1), 2)
    return {"gap": least - most, "MoRF": most, "LeRF": least}


METRIC = Metric(
    "road",
    run,
    "Rong, Leemann, Borisov, Kasneci, Kasneci 2022 (arXiv:2202.00449)",
    scores={"gap": "higher", "MoRF": "lower", "LeRF": "higher"},
    protocol=f"{', '.join(f'{share:.0%}' for share in SHARES)} of the pixels removed, noise of {NOISE:.0%} of the distance "
    f"from black to white; {ranking.TIES}.",
    limitations="Imputation restores scattered pixels well, so that it rewards blurred maps with connected regions, "
    "whatever the network used.",
)
