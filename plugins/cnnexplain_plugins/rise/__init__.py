"""The RISE analysis: the output of the network when random parts of the image are hidden."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cnnexplain.plugin import (
    NOISE_LIMIT,
    Analysis,
    Check,
    Measurement,
    Option,
    Result,
    Sampling,
    Subject,
    hookimpl,
)

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float32, Int64
    from matplotlib.figure import Figure

    from cnnexplain import Classifier, Record


def run(
    classifier: Classifier,
    images: Float32[np.ndarray, "N H W C"],
    targets: Int64[np.ndarray, " N"],
    progress: Callable[[int, int], None],
    *,
    of: Annotated[
        Literal["probability", "logit"] | None,
        Option(
            "What is averaged over the masks. Default: the probability of the target (which saturates, unlike its "
            "'logit'), or the value of a regression model."
        ),
    ] = None,
    masks: Annotated[int, Option("The number of random masks.", min=2, max=100000)] = 1000,
    cells: Annotated[
        int | None,
        Option(
            "Cells of a mask along the shorter side. Default: 7, or down to 3 if a cell would have fewer than 6 pixels.",
            min=1,
        ),
    ] = None,
    keep: Annotated[float, Option("The average share of the cells that are visible.", min=0.01, max=0.99)] = 0.5,
    seed: Annotated[int, Option("Seed of the masks, which are the same for every image.", min=0)] = 0,
) -> Result:
    """Average model output when a pixel is visible while random other regions are masked.

    Petsiuk et al. 2018, section 3: S(λ) = 1/(E[M] n) Σ f(x ⊙ M_i) M_i(λ) over n random masks M_i from 0 to 1, where f is the
    probability of the class, or its logit if that is requested, or the value of a regression model, and x ⊙ M goes from
    black at 0 to the image at 1. Only outputs of the network are used, no gradients.

    Returns:
        Arrays by pixel, (N, H, W): `saliency`, the S of the paper; `gain`, by how much f is larger if the pixel is visible
        than on average: S minus the mean of f, without the noise due to pixels that are visible more often than others; and
        `standard_error` of `gain`. Facts `probability` and `logit` (of the target for the image itself),
        `masked_probability` and `masked_logit` (their means under the masks), `peak` and `peak_pixel` (the maximum of
        `gain`, its row and column), `relative_error` (the standard error as a share of `gain`, both as root mean squares
        over the pixels) and `cells` (rows and columns of the grid).

    Raises:
        UsageError: There are more cells than pixels, or the probability of a regression model is requested.
    """
    from cnnexplain_plugins.rise.masking import rise

    return rise(classifier, images, targets, progress, of=of, count=masks, cells=cells, keep=keep, seed=seed)


def draw(record: Record, index: int) -> Figure:
    """The image, the gain with its color bar, the gain over the image, and its standard error."""
    from cnnexplain import draw
    from cnnexplain.draw import formatting, wording

    figure, (first, second, third, fourth) = draw.row(4, record, bars=[1, 3])
    gain, error = (record.arrays[name][index] for name in ("gain", "standard_error"))
    unit = wording.in_units(record, _unit(record.options))
    draw.input_image(first, record, index)
    draw.title(first, "input")
    draw.signed_map(second, gain, unit)
    mean = _mean(record, index)
    if not wording.has_values(record):
        is_probability = _output(record) == "probability"
        mean = formatting.probability(record.facts["masked_probability"][index]) if is_probability else f"logit {mean}"
    draw.title(second, f"gain over {mean}")
    draw.overlay(third, record, index, gain, signed=True)
    draw.title(third, "gain over input")
    draw.unsigned_map(fourth, error, unit)
    draw.title(fourth, f"standard error, {record.options['masks']} masks")
    draw.caption(figure, record, index)
    return figure


def _output(record: Record) -> str:
    """The output averaged over the masks: "probability", or "logit", which is the value of a regression model."""
    return "logit" if record.options["of"] == "logit" or "masked_probability" not in record.facts else "probability"


def _mean(record: Record, index: int) -> str:
    """The mean output under the masks, as text."""
    from cnnexplain.draw import formatting, wording

    mean = record.facts[f"masked_{_output(record)}"][index]
    if wording.has_values(record):
        return wording.model_output(None, wording.score_sign(record, index) * mean, record.explained[index].unit)
    return formatting.number(mean)


def _unit(options: Mapping[str, Any]) -> str:
    return "logits" if options["of"] == "logit" else "probability"


def passes(_: Classifier, options: Mapping[str, Any]) -> float:
    """A forward pass for each mask, and one for the image itself."""
    return float(options["masks"]) + 1


def finding(record: Record, index: int) -> str:
    """Where the gain is largest, with its standard error; or that the map is noise."""
    from cnnexplain import draw
    from cnnexplain.draw import findings, formatting, wording

    facts = {name: fact[index] for name, fact in record.facts.items()}
    mean = _mean(record, index)
    output = f"the {_output(record)} of {findings.target(record, index)}"
    if wording.has_values(record):
        output = f"'{draw.class_name(record, record.explained[index].prediction)}'"
    if not record.arrays["gain"][index].any():
        return f"{output[0].upper()}{output[1:]} is {mean} under every mask: the map is zero everywhere."
    if facts["relative_error"] > NOISE_LIMIT:
        return f"Under {record.options['masks']} masks, {output} is {mean} on average; the map is mostly noise."
    row, column = facts["peak_pixel"]
    error = float(record.arrays["standard_error"][index, row, column])
    place, peak = findings.place(row, column, record.images.shape[1:3]), facts["peak"]
    raises, lowers = ("raises", "lowers") if wording.score_sign(record, index) > 0 else ("lowers", "raises")
    change = f"{formatting.number(abs(peak))} (standard error {formatting.number(error)})"
    by = f"by {change} from a mean of {mean} under the masks"
    if peak > 0:
        return f"Showing {place}, {raises} {output} the most, {by}."
    return f"No pixel {raises} {output} when it is visible; the one at {place}, {lowers} it the least, {by}."


def advice(record: Record, _: int) -> str:
    """What reduces the noise of the map."""
    logit = "--of logit, " if _output(record) == "probability" else ""
    return f"use {logit}more --masks or fewer --cells"


def check_masks(subject: Subject) -> Measurement:
    """Compares the map of a few masks with one that is computed mask by mask."""
    from cnnexplain_plugins.rise.mask_check import measure

    return measure(subject)


@hookimpl
def cnnexplain_analyses() -> list[Analysis]:
    """Declares RISE."""
    return [
        Analysis(
            "rise",
            run,
            draw,
            "Petsiuk, Das, Saenko 2018 (arXiv:1806.07421)",
            limitations="The network was not trained on masked images. If its output hardly changes, the map is mostly "
            "noise: compare it with the standard error and use more masks. Details smaller than a cell are lost.",
            how_to_read="Red pixels support the target, blue pixels count against it. The color bar shows by how much the "
            "output exceeds its mean over all masks when the pixel is visible.",
            maps={"gain": _unit, "standard_error": _unit},
            trial={"masks": 8},
            passes=passes,
            finding=finding,
            sampling=Sampling("relative_error", advice),
            checks=(
                Check(
                    "brute force",
                    "With few masks, the map equals the weighted mean of the paper, and the gain the covariance of masks "
                    "and scores, over masks that independent code draws and enlarges.",
                    check_masks,
                ),
            ),
        )
    ]
