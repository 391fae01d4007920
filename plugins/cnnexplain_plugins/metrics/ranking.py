"""Images in which the most relevant pixels of a map are replaced first, in equal steps, and the areas under their curves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float, Float32, Float64, Int

    from cnnexplain import Classifier

STEPS = 28
"""The number of equal steps in which all pixels are replaced."""

FILLS = ("black", "blur")
"""The baselines that replace pixels, or in which they are shown."""

TIES = "pixels with equal values are in a random order, the same for all methods"
"""How equal values are ranked, for the protocol of a metric."""

SCORES = (*FILLS, *(f"{fill}, logit" for fill in FILLS))
"""The names of the scores: those of the probability, then those of the logit."""

PROTOCOL = (
    f"{STEPS} equal steps between the image and a baseline, black or the image blurred with a standard deviation of "
    f"an eighth of its shorter side; {TIES}."
)
"""The protocol of a metric with the steps of `areas`."""


def pixel_ranks(maps: Float[np.ndarray, "M H W"], random: np.random.Generator) -> Int[np.ndarray, "M H W"]:
    """The place of each pixel in the order from the largest value of a map to the smallest, from 0 to H · W − 1.

    Pixels with equal values are in a random order, which is the same for all maps.
    """
    import numpy as np

    count, pixels = len(maps), maps[0].size
    shuffled = random.permutation(pixels)
    order = shuffled[np.argsort(-maps.reshape(count, pixels)[:, shuffled], axis=1, kind="stable")]
    ranks = np.empty((count, pixels), np.int32)
    np.put_along_axis(ranks, order, np.arange(pixels, dtype=np.int32)[None], axis=1)
    return ranks.reshape(maps.shape)


def steps(pixels: int, number: int = STEPS) -> Int[np.ndarray, " points"]:
    """The number of replaced pixels after each step, from 0 to all; small images have fewer steps."""
    import numpy as np

    number = min(number, pixels)
    return np.round(np.arange(number + 1) * pixels / number).astype(np.int64)


def baselines(image: Float[np.ndarray, "H W C"], classifier: Classifier) -> dict[str, Float[np.ndarray, "H W C"]]:
    """The baselines of an image, by `FILLS`."""
    from cnnexplain.numerics import baseline_images

    return {fill: baseline_images(fill, image[None], classifier.preprocess)[0] for fill in FILLS}


def areas(
    maps: Float[np.ndarray, "M H W"],
    paths: Mapping[str, tuple[Float[np.ndarray, "H W C"], Float[np.ndarray, "H W C"]]],
    evaluate: Callable[..., Mapping[str, Float[np.ndarray, " K"]]],
    random: np.random.Generator,
    number: int,
) -> dict[str, Float64[np.ndarray, " M"]]:
    """The areas under the curves of the outputs while one image becomes another, the most relevant pixels first.

    Args:
        maps: The maps.
        paths: The first and the last image of each path, by name.
        evaluate: As for `cnnexplain.plugin.Metric`.
        random: Orders pixels with equal values.
        number: The number of steps.

    Returns:
        (M,) for each path and output, such as "black" (of the probability) and "black, logit": by the trapezoidal rule, over
        the share of replaced pixels.
    """
    import numpy as np

    ranks, counts = pixel_ranks(maps, random), steps(maps[0].size, number)
    found = {}
    for name, (before, after) in paths.items():
        for output, curves in replaced(ranks, before, after, counts, evaluate).items():
            found[name if output == "probability" else f"{name}, {output}"] = np.asarray(
                np.trapezoid(curves, counts / counts[-1], axis=1)
            )
    return found


def replaced(
    ranks: Int[np.ndarray, "M H W"],
    before: Float[np.ndarray, "H W C"],
    after: Float[np.ndarray, "H W C"],
    counts: Int[np.ndarray, " points"],
    evaluate: Callable[..., Mapping[str, Float[np.ndarray, " K"]]],
) -> dict[str, Float64[np.ndarray, "M points"]]:
    """The outputs for an image in which the first pixels of each order are replaced by those of another image.

    Args:
        ranks: The place of each pixel in the order of each map.
        before: The image.
        after: The other image.
        counts: The numbers of pixels that are replaced; the first is 0 and the last is all. These two images are the same
            for all maps, and are evaluated once.
        evaluate: As for `cnnexplain.plugin.Metric`.

    Returns:
        `logit` and `probability`, (M, points) each.
    """
    import numpy as np

    inner, maps = counts[1:-1], len(ranks)
    # The two ends, which are the same for all maps, are the last two images.
    which = np.append(np.repeat(np.arange(maps), len(inner)), [0, 0])
    cuts = np.append(np.tile(inner, maps), counts[[0, -1]])

    def make(part: slice) -> Float32[np.ndarray, "n H W C"]:
        first = ranks[which[part]] < cuts[part, None, None]
        return np.where(first[..., None], after, before)

    curves = {}
    for name, values in evaluate(len(which), make).items():
        ends = np.tile(values[-2:], (maps, 1))
        curves[name] = np.hstack([ends[:, :1], values[:-2].reshape(maps, len(inner)), ends[:, 1:]])
    return curves
