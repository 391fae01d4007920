"""The saliency analysis: which pixels would change the score of the target the most."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cnnexplain.plugin import Analysis, Option, Result, hookimpl

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from cnnexplain.model.classifier import Classifier
    from cnnexplain.model.objectives import Objective
    from cnnexplain.results.record import Record
    from cnnexplain.types import Floats


def run(
    classifier: Classifier,
    images: Floats,
    objectives: list[Objective],
    *,
    crops: Annotated[
        Literal["one", "ten"],
        Option("'ten' averages the maps of ten crops, the corners and the middle, each also mirrored, as the paper did."),
    ] = "one",
) -> Result:
    """Which pixels, changed a little, would change the score of the target the most.

    Simonyan et al. 2013, section 3: w = ∂S_c/∂x with S_c the logit of the class; the map is |w|, for colour images its
    maximum over the channels.

    Returns:
        Arrays `gradient` (N, H, W, C), signed, and `saliency` (N, H, W), both in logits per unit of the input; facts
        `logit` (of the target, or the difference of two), `peak` (the map's maximum) and `peak_pixel` (its row and column).
    """
    from cnnexplain_saliency.gradients import saliency

    return saliency(classifier, images, objectives, ten_crops=crops == "ten")


def draw(record: Record, index: int) -> Figure:
    """The image, the saliency map with its colour bar, and the map over the image."""
    from cnnexplain import draw
    from cnnexplain.draw import wording

    unit = wording.in_units(record, "logits per unit of input")
    figure, (left, middle, right) = draw.row(3, record, bars=[1])
    saliency = record.arrays["saliency"][index]
    draw.input_image(left, record, index)
    draw.title(left, "input")
    draw.unsigned_map(middle, saliency, unit, limit=draw.percentile_limit(saliency))
    mean = ", mean of ten crops" if record.options["crops"] == "ten" else ""
    draw.title(middle, f"saliency |∂S/∂x|{mean}")
    draw.smoothed_overlay(right, record, index, saliency, "saliency")
    draw.caption(figure, record, index)
    return figure


def overlay(record: Record, index: int) -> Floats:
    """The map, smoothed, or summed over the regions that were asked for."""
    from cnnexplain import draw

    return draw.readable(record.arrays["saliency"][index])


def passes(_: Classifier, options: Mapping[str, Any]) -> float:
    """A gradient, or one of each crop, and the scores."""
    return 2.0 * (10 if options["crops"] == "ten" else 1) + 1


def finding(record: Record, index: int) -> str:
    """Where the map is the strongest."""
    from cnnexplain.draw import findings, formatting

    smooth = overlay(record, index)
    if not smooth.any():
        return f"No pixel changes the score of {findings.target(record, index)}: the map is zero everywhere."
    held = formatting.percent(findings.concentration(record.arrays["saliency"][index]))
    return (
        f"The score of {findings.target(record, index)} is most sensitive at {findings.peak_place(smooth)}; the strongest "
        f"tenth of the pixels holds {held} of the map."
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
            "much the pixel as it is contributes to it; and neighbouring pixels often pull in opposite directions.",
            reading="The brighter a pixel, the more a small change of it would change the score of the target, up or down.",
            maps={"saliency": "logits per unit of input"},
            overlay=overlay,
            passes=passes,
            finding=finding,
        )
    ]
