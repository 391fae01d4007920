"""Saliency: which pixels would change the score of the target the most."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from cnnexplain.plugin import Analysis, Option, Result, hookimpl, smoothed_map

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from cnnexplain import Classifier, Floats, Objective, Record

CROPS = "'ten' averages the maps of ten crops, the corners and the middle, each also mirrored, as the paper did."


def run(
    classifier: Classifier,
    images: Floats,
    objectives: list[Objective],
    *,
    crops: Annotated[Literal["one", "ten"], Option(CROPS)] = "one",
) -> Result:
    """Which pixels, changed a little, would change the score of the target the most.

    Simonyan et al. 2013, section 3: w = ∂S_c/∂x with S_c the logit of the class; the map is |w|, for color images its
    maximum over the channels.

    Returns:
        Arrays `gradient` (N, H, W, C), signed, and `saliency` (N, H, W), both in logits per unit of the input; facts
        `logit` (of the target, or the difference of two), `peak` (the map's maximum) and `peak_pixel` (its row and column).
    """
    import numpy as np

    from cnnexplain.numerics import peaks, ten_crops

    if crops == "one":
        gradient = classifier.gradient(images, objectives)
        maps = np.abs(gradient).max(axis=-1)
    else:
        gradient, maps = np.zeros_like(images), np.zeros(images.shape[:3], np.float32)
        for rows, columns in ten_crops(*images.shape[1:3]):
            crop = np.einsum("ip,npqc,jq->nijc", rows, images, columns, optimize=True)
            at_crop = classifier.gradient(crop, objectives)
            at_image = np.einsum("ip,nijc,jq->npqc", rows, at_crop, columns, optimize=True)
            gradient += at_image / 10
            maps += np.abs(at_image).max(axis=-1) / 10
    logits = classifier.values(images, objectives).tolist()
    facts = {"logit": logits, "peak": maps.max(axis=(1, 2)).tolist(), "peak_pixel": peaks(maps)}
    return Result({"gradient": gradient, "saliency": maps}, facts)


def draw(record: Record, index: int) -> Figure:
    """The image, the saliency map with its color bar, and the map over the image."""
    from cnnexplain.draw import map_figure

    title = "saliency |∂S/∂x|" + (", mean of ten crops" if record.options["crops"] == "ten" else "")
    return map_figure(record, index, record.arrays["saliency"][index], "logits per unit of input", title, what="saliency")


def finding(record: Record, index: int) -> str:
    """Where the map is the strongest."""
    from cnnexplain.draw import findings, formatting

    smooth, target = smoothed_map(record, index), findings.target(record, index)
    if not smooth.any():
        return f"No pixel changes the score of {target}: the map is zero everywhere."
    held = formatting.percent(findings.concentration(record.arrays["saliency"][index]))
    return (
        f"The score of {target} is most sensitive at {findings.peak_place(smooth)}; the strongest tenth of the pixels holds "
        f"{held} of the map."
    )


@hookimpl
def cnnexplain_analyses() -> list[Analysis]:
    """Offers the saliency analysis."""
    return [
        Analysis(
            "saliency",
            run,
            draw,
            "Simonyan, Vedaldi, Zisserman 2013 (arXiv:1312.6034)",
            note="Sensitive is not important: the map shows what a small change of a pixel would do to the score, not how "
            "much the pixel as it is contributes to it; and neighboring pixels often pull in opposite directions.",
            reading="The brighter a pixel, the more a small change of it would change the score of the target, up or down.",
            maps={"saliency": "logits per unit of input"},
            overlay=smoothed_map,
            passes=lambda _, options: 21 if options["crops"] == "ten" else 3,
            finding=finding,
        )
    ]
