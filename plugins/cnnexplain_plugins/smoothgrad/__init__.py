"""The SmoothGrad analysis: the saliency gradient, averaged over copies of the image with noise."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

from cnnexplain import checks
from cnnexplain.plugin import Analysis, Check, Measurement, Option, Result, Sampling, Subject, hookimpl, smoothed_map

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float32
    from matplotlib.figure import Figure

    from cnnexplain import Classifier, Objective, Record


def run(
    classifier: Classifier,
    images: Float32[np.ndarray, "N H W C"],
    objectives: list[Objective],
    progress: Callable[[int, int], None],
    *,
    samples: Annotated[
        int, Option("The maximum number of noisy copies that the gradient is averaged over.", min=2, max=100000)
    ] = 512,
    error: Annotated[
        float,
        Option("Stop adding copies at this relative error of the mean gradient; 0 always takes all of them.", min=0, max=1),
    ] = 0.4,
    noise: Annotated[
        float, Option("Standard deviation of the noise, as a share of the range from black to white.", min=0, max=10)
    ] = 0.15,
    seed: Annotated[int, Option("Seed of the noise, which is the same for every image.", min=0)] = 0,
) -> Result:
    """How strongly the score of the target reacts to each pixel, averaged over noisy copies of the image.

    Smilkov et al. 2017: the mean, over n copies, of the gradient ∂S_c/∂x at x + ε with Gaussian noise ε, where S_c is the
    logit of the class. The map is the magnitude of that mean, for color images its maximum over the channels. After every 32
    copies, images with a relative error of at most `error` are finished, each independently of the others.

    Returns:
        Arrays `gradient` (N, H, W, C), the signed mean; `deviation` (N, H, W, C), the standard deviation of the gradient
        over the copies; and `smoothgrad` (N, H, W), the map; all in logits per unit of the input. Facts `logit` (of the
        target for the image without noise, or the difference of two), `peak` (the map's maximum) and `peak_pixel` (its row
        and column), `samples` (the number of copies used), `standard_error` of the mean gradient and `relative_error`, the
        standard error relative to the mean gradient, both as root mean squares over the pixels, and `stopped_by`, "error"
        if the relative error is at most `error`, otherwise "samples".
    """
    from cnnexplain_plugins.smoothgrad.smoothing import smoothgrad

    return smoothgrad(classifier, images, objectives, progress, samples=samples, error=error, noise=noise, seed=seed)


def draw(record: Record, index: int) -> Figure:
    """The image, the map with its color bar, and the map over the image."""
    from cnnexplain.draw import map_figure

    title = f"|mean ∂S/∂x|, {record.facts['samples'][index]} copies, noise {record.options['noise']:g}"
    return map_figure(record, index, record.arrays["smoothgrad"][index], "logits per unit of input", title)


def passes(_: Classifier, options: Mapping[str, Any]) -> float:
    """At most a gradient for each copy, and a forward pass for the scores."""
    return 2 * float(options["samples"]) + 1


def finding(record: Record, index: int) -> str:
    """Where the score is most sensitive, and the relative error of the map."""
    from cnnexplain.draw import findings, formatting

    smooth, copies = smoothed_map(record, index), record.facts["samples"][index]
    target = findings.target(record, index)
    if not smooth.any():
        return f"Under noise, no pixel changes the score of {target}: the map is zero everywhere."
    place = findings.peak_place(smooth)
    return (
        f"Under noise, the score of {target} is most sensitive at {place}; after {copies} copies the "
        f"map has a relative error of {formatting.percent(record.facts['relative_error'][index])}."
    )


def advice(record: Record, index: int) -> str:
    """What reduces the noise of the map."""
    if record.facts["stopped_by"][index] == "error":
        return "use a smaller --error"
    return "use more --samples or less --noise, or sum the map over regions (redraw --regions)"


def check_mean(subject: Subject) -> Measurement:
    """Compares the mean gradient with slopes of the score at other noisy copies."""
    from cnnexplain_plugins.smoothgrad.mean_check import measure

    return measure(subject)


@hookimpl
def cnnexplain_analyses() -> list[Analysis]:
    """Declares SmoothGrad."""
    return [
        Analysis(
            "smoothgrad",
            run,
            draw,
            "Smilkov, Thorat, Kim, Viégas, Wattenberg 2017 (arXiv:1706.03825)",
            limitations="Describes the network on noisy images, not on the image itself. Like saliency, it shows "
            "sensitivity, not importance.",
            how_to_read="The brighter a pixel, the more a change to it would change the score of the target in the same "
            "direction for most noisy copies. Where the copies disagree, the map is dark.",
            maps={"smoothgrad": "logits per unit of input"},
            overlay=smoothed_map,
            trial={"samples": 2},
            quick={"samples": 256},
            passes=passes,
            finding=finding,
            sampling=Sampling("relative_error", advice),
            checks=(
                Check(
                    "mean gradient",
                    "Up to its standard error, the mean gradient agrees with the mean slope of the score at new noisy "
                    "copies, measured by central differences.",
                    check_mean,
                ),
                checks.channel_maxima("smoothgrad", "gradient"),
            ),
        )
    ]
