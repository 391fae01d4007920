"""The integrated gradients analysis: what each pixel contributes to the difference from the score of a baseline."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

from cnnexplain import checks
from cnnexplain.numerics import BASELINES
from cnnexplain.plugin import Analysis, Check, Measurement, Option, Result, Subject, hookimpl, summed_map

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float32
    from matplotlib.figure import Figure

    from cnnexplain import Classifier, Objective, Record


TOLERANCE = 0.05
"""The largest relative convergence delta; section 5 of the paper recommends at most 5%."""


def run(
    classifier: Classifier,
    images: Float32[np.ndarray, "N H W C"],
    objectives: list[Objective],
    progress: Callable[[int, int], None],
    *,
    baseline: Annotated[str, Option(f"The image that represents the absence of information: {BASELINES}")] = "black",
    steps: Annotated[
        int,
        Option("The number of images along the path from the baseline at which the gradient is computed.", min=1, max=1000),
    ] = 128,
) -> Result:
    """Contribution of each pixel to the score of the target, integrated along a path from a baseline image.

    Sundararajan et al. 2017: (x − b) · ∫ ∂S_c/∂x(b + α (x − b)) dα for α from 0 to 1, with b the baseline and S_c the logit
    of the class. The attributions of all pixels sum to S_c(x) − S_c(b).

    Returns:
        Arrays `attribution` (N, H, W, C) and `pixel_attribution` (N, H, W), its sum over the channels, both signed and in
        logits; `baseline` (N, H, W, C), in the model's input range. Facts `logit` (of the target, or the difference of two),
        `baseline_logit` (of the baseline), `difference` (the logit minus the baseline's), `sum` (of the attributions),
        `convergence_delta` (the sum minus the difference) and `relative_convergence_delta` (its magnitude relative to the
        difference).

    Raises:
        UsageError: There is no such baseline.
    """
    from cnnexplain_plugins.integrated_gradients.paths import integrated_gradients

    return integrated_gradients(classifier, images, objectives, progress, baseline=baseline, steps=steps)


def draw(record: Record, index: int) -> Figure:
    """The image, its baseline, the attribution with its color bar, and its sums over regions over the image."""
    from cnnexplain import draw
    from cnnexplain.draw import formatting, wording

    unit = wording.in_units(record, "logits")
    figure, (first, second, third, fourth) = draw.row(4, record, bars=[2, 3])
    values = record.arrays["pixel_attribution"][index]
    draw.input_image(first, record, index)
    draw.title(first, "input")
    draw.image_values(second, record, record.arrays["baseline"][index])
    baseline = formatting.number(wording.score_sign(record, index) * record.facts["baseline_logit"][index])
    draw.title(second, f"baseline: {baseline} {unit}" if wording.has_values(record) else f"baseline: logit {baseline}")
    draw.signed_map(third, values, unit, limit=draw.percentile_limit(values))
    total, difference = (formatting.number(record.facts[name][index]) for name in ("sum", "difference"))
    draw.title(third, f"attribution: sum {total} of {difference}")
    draw.regions_overlay(fourth, record, index, values, "attribution", unit)
    draw.caption(figure, record, index)
    return figure


def passes(_: Classifier, options: Mapping[str, Any]) -> float:
    """A gradient for each step, and a forward pass each for the image and the baseline."""
    return 2 * float(options["steps"]) + 2


def finding(record: Record, index: int) -> str:
    """The change of the score from the baseline, and the largest attribution."""
    from cnnexplain import draw
    from cnnexplain.draw import findings

    before, after = (record.facts[name][index] for name in ("baseline_logit", "logit"))
    sums = summed_map(record, index)
    return (
        f"From the baseline to the image, the score of {findings.target(record, index)} {findings.change(before, after)}; "
        f"{findings.largest_attribution(sums, draw.region_side(sums))}."
    )


def check_path(subject: Subject) -> Measurement:
    """Compares contributions with slopes of the score at the points of the path."""
    from cnnexplain_plugins.integrated_gradients.path_check import measure

    return measure(subject)


@hookimpl
def cnnexplain_analyses() -> list[Analysis]:
    """Declares integrated gradients."""
    return [
        Analysis(
            "integrated-gradients",
            run,
            draw,
            "Sundararajan, Taly, Yan 2017 (arXiv:1703.01365)",
            limitations="Pixels equal to the baseline get no attribution, such as black pixels with a black baseline. "
            "Another baseline answers another question and gives another picture.",
            how_to_read="Red pixels raise the score of the target above the baseline's score, blue pixels lower it; the "
            "color bar shows by how much. The attributions of all pixels sum to the difference between the two scores.",
            maps={"pixel_attribution": "logits"},
            overlay=summed_map,
            trial={"steps": 2},
            passes=passes,
            finding=finding,
            checks=(
                *checks.sums("attribution", "pixel_attribution", limit=TOLERANCE),
                Check(
                    "path",
                    "With few steps, the contributions of a region add up to the weighted rates at which the score changes "
                    "along the path if only this region moves, measured by central differences.",
                    check_path,
                ),
            ),
        )
    ]
