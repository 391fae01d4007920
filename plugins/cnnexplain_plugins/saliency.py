"""Saliency: which pixels would change the score of the target the most."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from cnnexplain import checks
from cnnexplain.plugin import Analysis, Option, Result, hookimpl, smoothed_map

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float32
    from matplotlib.figure import Figure

    from cnnexplain import Classifier, Objective, Record


def run(
    classifier: Classifier,
    images: Float32[np.ndarray, "N H W C"],
    objectives: list[Objective],
    *,
    crops: Annotated[Literal["one", "ten"], Option("'ten' averages over ten crops of each image, as in the paper.")] = "one",
) -> Result:
    """How strongly the score of the target reacts to a small change of each pixel.

    Simonyan et al. 2013, section 3: w = ∂S_c/∂x with S_c the logit of the class; the map is |w|, for color images its
    maximum over the channels.

    Returns:
        Arrays `gradient` (N, H, W, C), signed, and `saliency` (N, H, W), both in logits per unit of the input; facts
        `logit` (of the target, or the difference of two), `peak` (the map's maximum) and `peak_pixel` (its row and column).
    """
    from cnnexplain.numerics import channel_maxima, peaks, ten_crop_gradients

    if crops == "ten":
        logits, gradients = classifier.values(images, objectives), ten_crop_gradients(classifier, images, objectives)
        gradient, maps = gradients.mean(axis=0), channel_maxima(gradients).mean(axis=0)
    else:
        logits, gradient = classifier.value_and_gradient(images, objectives)
        maps = channel_maxima(gradient)
    facts = {"logit": logits.tolist(), "peak": maps.max(axis=(1, 2)).tolist(), "peak_pixel": peaks(maps)}
    return Result({"gradient": gradient, "saliency": maps}, facts)


def draw(record: Record, index: int) -> Figure:
    """The image, the saliency map with its color bar, and the map over the image."""
    from cnnexplain.draw import map_figure

    title = "saliency |∂S/∂x|" + (", mean of ten crops" if record.options["crops"] == "ten" else "")
    return map_figure(record, index, record.arrays["saliency"][index], "logits per unit of input", title, what="saliency")


def finding(record: Record, index: int) -> str:
    """Where the score is most sensitive, and how concentrated the map is."""
    from cnnexplain.draw import findings, formatting

    smooth, target = smoothed_map(record, index), findings.target(record, index)
    if not smooth.any():
        return f"No pixel changes the score of {target}: the map is zero everywhere."
    share = formatting.percent(findings.concentration(record.arrays["saliency"][index]))
    place = findings.peak_place(smooth)
    return f"The score of {target} is most sensitive at {place}; the strongest tenth of the pixels holds {share} of the map."


@hookimpl
def cnnexplain_analyses() -> list[Analysis]:
    """Declares saliency."""
    return [
        Analysis(
            "saliency",
            run,
            draw,
            "Simonyan, Vedaldi, Zisserman 2013 (arXiv:1312.6034)",
            limitations="Shows sensitivity, not importance: a bright pixel need not contribute to the score. Gradients of "
            "neighboring pixels often have opposite signs.",
            how_to_read="The brighter a pixel, the more a small change to it would change the score of the target.",
            maps={"saliency": "logits per unit of input"},
            overlay=smoothed_map,
            passes=lambda _, options: 21 if options["crops"] == "ten" else 2,
            finding=finding,
            checks=(
                checks.gradient("gradient", when=lambda options: options["crops"] == "one"),
                checks.channel_maxima("saliency", "gradient", when=lambda options: options["crops"] == "one"),
            ),
        )
    ]
