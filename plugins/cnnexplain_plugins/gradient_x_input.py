"""Gradient × input: what each pixel contributes to the score, to first order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cnnexplain import checks
from cnnexplain.numerics import BASELINES
from cnnexplain.plugin import Analysis, Option, Result, hookimpl, summed_map

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
    baseline: Annotated[str | None, Option(f"The reference image. Default: the number 0. Otherwise {BASELINES}")] = None,
) -> Result:
    """First-order contribution of each pixel to the score of the target: the gradient times the pixel's value.

    Shrikumar et al. 2016: the gradient ∂S_c/∂x times x, with S_c the logit of the class; with a baseline b, times x − b.

    Returns:
        Arrays `attribution` (N, H, W, C) and `pixel_attribution` (N, H, W), its sum over the channels, both signed and in
        logits; the facts of `cnnexplain.numerics.completeness_facts`.
    """
    from cnnexplain.numerics import baseline_images, completeness_facts

    baselines = 0 * images if baseline is None else baseline_images(baseline, images, classifier.preprocess)
    attribution = classifier.gradient(images, objectives) * (images - baselines)
    arrays = {"attribution": attribution, "pixel_attribution": attribution.sum(axis=-1)}
    return Result(arrays, completeness_facts(classifier, images, baselines, objectives, attribution))


def draw(record: Record, index: int) -> Figure:
    """The image, the attribution with its color bar, and its sums over regions over the image."""
    from cnnexplain.draw import map_figure

    baseline, values = record.options["baseline"], record.arrays["pixel_attribution"][index]
    title = "x · ∂S/∂x" if baseline is None else f"(x − {baseline}) · ∂S/∂x"
    return map_figure(record, index, values, "logits", title, signed=True, what="attribution")


def finding(record: Record, index: int) -> str:
    """The sum of the attributions, and the largest of them."""
    from cnnexplain.draw import findings, formatting, region_side, wording

    total, difference = (formatting.signed_number(record.facts[name][index], 3) for name in ("sum", "difference"))
    sums, unit = summed_map(record, index), wording.in_units(record, "logits")
    added = f"The attributions for {findings.target(record, index)} add up to {total} {unit}"
    largest = findings.largest_attribution(sums, region_side(sums))
    return f"{added}; the score minus the baseline's is {difference}; {largest}."


@hookimpl
def cnnexplain_analyses() -> list[Analysis]:
    """Declares gradient × input."""
    analysis = Analysis(
        "gradient-x-input",
        run,
        draw,
        "Shrikumar, Greenside, Shcherbina, Kundaje 2016 (arXiv:1605.01713)",
        limitations="Pixels equal to the baseline get no attribution: black strokes on white are invisible if black "
        "is 0. The attributions are a first-order approximation, since the gradient is taken only at the image itself.",
        how_to_read="Red pixels raise the score of the target compared with the baseline, blue pixels lower it; the "
        "color bar shows by how much.",
        maps={"pixel_attribution": "logits"},
        overlay=summed_map,
        passes=lambda *_: 3,
        finding=finding,
        checks=(checks.contributions("attribution"), *checks.sums("attribution", "pixel_attribution", limit=None)),
    )
    return [analysis]
