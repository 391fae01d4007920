"""The SmoothGrad analysis: the saliency gradient, averaged over copies of the image with noise."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

from cnnexplain.plugin import Analysis, Option, Result, hookimpl

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from cnnexplain.arrays import Floats
    from cnnexplain.classifier import Classifier
    from cnnexplain.objectives import Objective
    from cnnexplain.record import Record


def run(
    classifier: Classifier,
    images: Floats,
    objectives: list[Objective],
    progress: Callable[[int, int], None],
    *,
    samples: Annotated[int, Option("How many copies with noise the gradient is averaged over.", min=2, max=100000)] = 50,
    noise: Annotated[
        float, Option("Standard deviation of the noise, as a share of the way from black to white.", min=0, max=10)
    ] = 0.15,
    seed: Annotated[int, Option("Of the noise, which is the same for every image.", min=0)] = 0,
) -> Result:
    """Which pixels the score of the class is sensitive to, averaged over copies of the image with noise.

    Smilkov et al. 2017: the mean, over n copies, of the gradient ∂S_c/∂x at x + ε with Gaussian noise ε, S_c being the logit
    of the class. The map is the magnitude of that mean, for colour images its maximum over the channels.

    Returns:
        Arrays `gradient` (N, H, W, C), the signed mean; `deviation` (N, H, W, C), the standard deviation of the gradient
        over the copies; and `smoothgrad` (N, H, W), the map; all in logits per unit of the input. Facts `logit` (of the
        target at the image without noise, or the difference of two), `peak` (the map's maximum) and `peak_pixel` (its row
        and column), `standard_error` of the mean gradient and `relative_error`, that as a share of the gradient itself, both
        as root mean squares over the pixels.
    """
    from cnnexplain_smoothgrad.smoothing import smoothgrad

    return smoothgrad(classifier, images, objectives, progress, samples=samples, noise=noise, seed=seed)


def draw(record: Record, index: int) -> Figure:
    """The image, the map with its colour bar, and the map over the image."""
    from cnnexplain import draw

    figure, (left, middle, right) = draw.row(3, record, bars=[1])
    values = record.arrays["smoothgrad"][index]
    draw.image(left, record, index)
    draw.title(left, "input")
    draw.unsigned(middle, values, "logits per unit of input", limit=draw.ceiling(values))
    draw.title(middle, f"|mean ∂S/∂x| of {record.options['samples']}, noise {record.options['noise']:g}")
    draw.smoothed_overlay(right, record, index, values, "map")
    draw.caption(figure, record, index)
    return figure


@hookimpl
def cnnexplain_analyses() -> list[Analysis]:
    """Offers the SmoothGrad analysis."""
    return [
        Analysis(
            "smoothgrad",
            run,
            draw,
            "Smilkov, Thorat, Kim, Viégas, Wattenberg 2017 (arXiv:1706.03825)",
            note="The map is that of a network which sees the image under noise, not of the network at the image itself; "
            "and sensitive is still not important: it tells what changing a pixel would do, not what the pixel contributes.",
            reading="The brighter a pixel, the more a change of it would change the score of the class, up or down, in most "
            "of the copies with noise; where the copies disagree the map is dark.",
            maps={"smoothgrad": "logits per unit of input"},
            trial={"samples": 2},
        )
    ]
