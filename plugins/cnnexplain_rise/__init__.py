"""The RISE analysis: what the network says when random parts of the image are hidden, over and over."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cnnexplain.plugin import Analysis, Option, Result, hookimpl

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from cnnexplain.arrays import Floats, Integers
    from cnnexplain.classifier import Classifier
    from cnnexplain.record import Record


def run(
    classifier: Classifier,
    images: Floats,
    targets: Integers,
    progress: Callable[[int, int], None],
    *,
    of: Annotated[
        Literal["probability", "logit"],
        Option("What is asked for under the masks: the probability of the class, or its logit, which saturates nowhere."),
    ] = "probability",
    masks: Annotated[int, Option("How many random masks the image is shown under.", min=2, max=100000)] = 1000,
    cells: Annotated[
        int | None,
        Option(
            "Cells of a mask along the shorter side. Default: 7, or as few as 3 where a cell would be under 6 pixels.", min=1
        ),
    ] = None,
    keep: Annotated[float, Option("The probability that a cell is shown.", min=0.01, max=0.99)] = 0.5,
    seed: Annotated[int, Option("Of the masks, which are the same for every image.", min=0)] = 0,
) -> Result:
    """Class probability when a pixel is visible and random other regions are masked.

    Petsiuk et al. 2018, section 3: S(λ) = 1/(E[M] n) Σ f(x ⊙ M_i) M_i(λ) over n random masks M_i from 0 to 1, where f is the
    probability of the class, or its logit where that is asked for, and x ⊙ M goes from black at 0 to the image at 1. Only
    what the network puts out is used.

    Returns:
        Arrays by pixel, (N, H, W): `saliency`, the S of the paper; `gain`, how much larger f is with the pixel shown than
        under all masks: S less the mean of f, without the noise that comes from some pixels being shown more often than
        others; and `standard_error` of `gain`. Facts `probability` and `logit` (of the target for the image itself),
        `masked_probability` and `masked_logit` (their means under the masks), `peak` and `peak_pixel` (the maximum of
        `gain`, its row and column), `relative_error` (the standard error as a share of `gain`, both as root mean squares
        over the pixels) and `cells` (rows and columns of the grid).

    Raises:
        UsageError: There are more cells than pixels.
    """
    from cnnexplain_rise.masking import rise

    return rise(classifier, images, targets, progress, of=of, count=masks, cells=cells, keep=keep, seed=seed)


def draw(record: Record, index: int) -> Figure:
    """The image, the gain with its colour bar, the same over the image, and its standard error."""
    from cnnexplain import answers, draw, findings

    figure, (first, second, third, fourth) = draw.row(4, record, bars=[1, 3])
    gain, error = (record.arrays[name][index] for name in ("gain", "standard_error"))
    unit, of = answers.in_units(record, _unit(record.options)), _of(record)
    mean = record.facts[f"masked_{of}"][index]
    draw.image(first, record, index)
    draw.title(first, "input")
    draw.signed(second, gain, unit)
    told = draw.percent(mean) if of == "probability" else f"logit {findings.number(mean)}"
    if answers.of_values(record):
        told = f"{findings.number(answers.turned(record, index) * mean)} {unit}"
    draw.title(second, f"gain over {told}")
    draw.overlay(third, record, index, gain, signed=True)
    draw.title(third, "gain over input")
    draw.unsigned(fourth, error, unit)
    draw.title(fourth, f"standard error, {record.options['masks']} masks")
    draw.caption(figure, record, index)
    return figure


def _of(record: Record) -> str:
    """What was asked for under the masks: of a model of values, which has no probabilities, the value."""
    of = str(record.options["of"])
    return of if f"masked_{of}" in record.facts else "logit"


def _unit(options: Mapping[str, Any]) -> str:
    return "logits" if options["of"] == "logit" else "probability"


def passes(_: Classifier, options: Mapping[str, Any]) -> float:
    """A forward pass for each mask, and one without."""
    return float(options["masks"]) + 1


def finding(record: Record, index: int) -> str:
    """Where the gain is the largest, with its standard error, or that the map is noise."""
    from cnnexplain import answers, draw, findings
    from cnnexplain_rise.masking import NOISE

    facts = {name: fact[index] for name, fact in record.facts.items()}
    of, mean, sign = _of(record), facts[f"masked_{_of(record)}"], answers.turned(record, index)
    what = f"the {of} of {findings.target(record, index)}"
    if answers.of_values(record):
        what, mean = f"'{draw.name(record, record.explained[index].prediction)}'", sign * mean
    if not record.arrays["gain"][index].any():
        return f"{what[0].upper()}{what[1:]} is {findings.number(mean)} under every mask: the map is zero everywhere."
    if facts["relative_error"] > NOISE:
        return (
            f"Under {record.options['masks']} masks {what} is {findings.number(mean)} on average; the map is noise, since "
            f"its standard error is {findings.percent(facts['relative_error'])} of its own spread."
        )
    row, column = facts["peak_pixel"]
    error = float(record.arrays["standard_error"][index, row, column])
    return (
        f"Showing {findings.place(row, column, record.images.shape[1:3])}, {'raises' if sign > 0 else 'lowers'} {what} the "
        f"most, by {findings.number(facts['peak'])} (standard error {findings.number(error)}) from a mean of "
        f"{findings.number(mean)} under the masks."
    )


@hookimpl
def cnnexplain_analyses() -> list[Analysis]:
    """Offers the RISE analysis."""
    return [
        Analysis(
            "rise",
            run,
            draw,
            "Petsiuk, Das, Saenko 2018 (arXiv:1806.07421)",
            note="An image half hidden is nothing that the network has seen, and where the answer hardly changes the "
            "map is noise: compare it with the standard error, and take more masks. Details smaller than a cell are lost.",
            reading="Red pixels raise what is asked for of the class when they are shown, blue ones lower it, "
            "by as much as the colour bar says, compared with the mean over all masks.",
            maps={"gain": _unit, "standard_error": _unit},
            trial={"masks": 8},
            passes=passes,
            finding=finding,
        )
    ]
