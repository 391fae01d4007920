"""The gradient × input analysis: what each pixel contributes to the score, to first order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from cnnexplain.numerics.baselines import FILLS
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
    baseline: Annotated[
        str | None,
        Option(f"What a pixel is measured from. Default: the number 0, whatever colour it is for the model. Else {FILLS}"),
    ] = None,
) -> Result:
    """What each pixel contributes to the score of the target, if the gradient at the image held all the way to 0.

    Shrikumar et al. 2016: the gradient ∂S_c/∂x times x, S_c being the logit of the class; with a baseline b, times x − b.

    Returns:
        Arrays `attribution` (N, H, W, C) and `pixel_attribution` (N, H, W), its sum over the channels, both signed and in
        logits. Facts `logit` (of the target, or the difference of two), `baseline_logit` (at the baseline), `difference`
        (the one less the other), `sum` (of the attributions), `residual` (the sum less the difference) and
        `relative_residual` (its magnitude as a share of the difference's).

    Raises:
        UsageError: The baseline is none of those.
    """
    from cnnexplain_gradient_x_input.products import gradient_x_input

    return gradient_x_input(classifier, images, objectives, baseline)


def draw(record: Record, index: int) -> Figure:
    """The image, the attribution with its colour bar, and its sums over regions over the image."""
    from cnnexplain import draw
    from cnnexplain.draw import wording

    unit = wording.in_units(record, "logits")
    figure, (left, middle, right) = draw.row(3, record, bars=[1, 2])
    values = record.arrays["pixel_attribution"][index]
    draw.input_image(left, record, index)
    draw.title(left, "input")
    draw.signed_map(middle, values, unit, limit=draw.percentile_limit(values))
    baseline = record.options["baseline"]
    draw.title(middle, "x · ∂S/∂x" if baseline is None else f"(x − {baseline}) · ∂S/∂x")
    draw.regions_overlay(right, record, index, values, "attribution", unit)
    draw.caption(figure, record, index)
    return figure


def overlay(record: Record, index: int) -> Floats:
    """The attributions, summed over regions."""
    from cnnexplain import draw

    values = record.arrays["pixel_attribution"][index]
    return draw.region_sums(values, draw.region_side(values))


def passes(_: Classifier, __: Mapping[str, Any]) -> float:
    """A gradient, and the scores of the image and the baseline."""
    return 4


def finding(record: Record, index: int) -> str:
    """What the attributions add up to, and where the largest is."""
    from cnnexplain import draw
    from cnnexplain.draw import findings, formatting, wording

    total, difference = (formatting.signed_number(record.facts[name][index], 3) for name in ("sum", "difference"))
    unit = wording.in_units(record, "logits")
    sums = overlay(record, index)
    return (
        f"The attributions for {findings.target(record, index)} add up to {total} {unit}; the score minus "
        f"the baseline's is {difference}; "
        f"{findings.largest_attribution(sums, draw.region_side(sums))}."
    )


@hookimpl
def cnnexplain_analyses() -> list[Analysis]:
    """Offers the gradient × input analysis."""
    return [
        Analysis(
            "gradient-x-input",
            run,
            draw,
            "Shrikumar, Greenside, Shcherbina, Kundaje 2016 (arXiv:1605.01713)",
            note="A pixel whose value is the baseline gets nothing, however much it matters: black strokes on white are "
            "invisible where 0 is black. And the gradient at the image need not hold on the way to the baseline.",
            reading="Red pixels raise the score of the target by being as they are and not as the baseline, blue ones lower "
            "it, by as much as the colour bar says.",
            maps={"pixel_attribution": "logits"},
            overlay=overlay,
            passes=passes,
            finding=finding,
        )
    ]
