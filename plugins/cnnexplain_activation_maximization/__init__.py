"""The activation-maximization analysis: which image excites a class, a feature map or a neuron the most."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal

from cnnexplain.plugin import Analysis, Option, Result, hookimpl

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from matplotlib.figure import Figure

    from cnnexplain.classifier import Classifier
    from cnnexplain.objectives import Objective
    from cnnexplain.record import Record
    from cnnexplain.stream import Stream


def run(
    classifier: Classifier,
    objectives: list[Objective],
    dataset: Stream | None,
    progress: Callable[[int, int], None],
    *,
    layer: Annotated[str | None, Option("The layer whose units to show. Default: the classes, before the softmax.")] = None,
    unit: Annotated[
        tuple[str, ...],
        Option("A unit of the layer: K for a feature map's mean or a dense neuron, ROW,COLUMN,K for one neuron of a map."),
    ] = (),
    regularization: Annotated[
        Literal["robust", "fourier", "yosinski-1", "yosinski-2", "yosinski-3", "yosinski-4", "none"],
        Option(
            "What keeps the pictures from being noise: random views and total variation, the same on a Fourier spectrum, "
            "one of the four settings of Yosinski et al., or nothing; what the options below give replaces its parts."
        ),
    ] = "robust",
    decay: Annotated[
        float | None, Option("By what part of itself a pixel shrinks towards the empty picture in a step.", min=0, max=1)
    ] = None,
    blur: Annotated[
        float | None, Option("The standard deviation in pixels of a Gaussian blur; 0 blurs nothing.", min=0, max=100)
    ] = None,
    blur_every: Annotated[int | None, Option("After how many steps to blur.", min=1)] = None,
    norm_percentile: Annotated[
        float | None, Option("Pixels with a norm under this percentile are emptied after a step.", min=0, max=100)
    ] = None,
    contribution_percentile: Annotated[
        float | None, Option("Pixels that contribute less than this percentile are emptied after a step.", min=0, max=100)
    ] = None,
    total_variation: Annotated[float | None, Option("The weight of the total variation.", min=0)] = None,
    jitter: Annotated[
        float | None, Option("By how many pixels at most what the network is shown is moved at random.", min=0, max=100)
    ] = None,
    rotate: Annotated[float | None, Option("By how many degrees at most it is turned at random.", min=0, max=180)] = None,
    zoom: Annotated[
        float | None, Option("By what part at most it is made larger or smaller at random.", min=0, max=10)
    ] = None,
    parametrization: Annotated[
        Literal["pixels", "fourier"] | None,
        Option("What is optimised: the pixels, or the coefficients of a Fourier spectrum that falls as 1/f."),
    ] = None,
    rate: Annotated[float | None, Option("Adam's learning rate, in parts of the input range.", min=1e-6)] = None,
    steps: Annotated[int, Option("How many steps to ascend.", min=1)] = 200,
    starts: Annotated[
        int,
        Option(
            "From how many of 64 noises, those that excite the unit the most, to ascend; the best is kept.", min=1, max=64
        ),
    ] = 8,
    seed: Annotated[int, Option("Decides the noises and the random views.", min=0)] = 0,
) -> Result:
    """Which image excites a class, a feature map or a neuron the most.

    Simonyan et al. 2013, section 2, and Yosinski et al. 2015, section 3: x* = argmax a(x) − R(x), by gradient ascent from
    noise, a being the score of a class before the softmax, the mean of a feature map, or a neuron. The values reported are
    those of the saved image, which is in the model's input range and was never moved, turned or zoomed.

    Returns:
        The array `optimum` (U, H, W, C), an image for each unit, in the model's input range. Facts with one entry for each
        unit: `unit` (its name), `value` (reached by the image), `best` and `best_image` (the highest of the data set, and
        where), `ratio` (of the two; None without a data set, and where its best is not above 0), `noise` (the value of the
        image's own pixels in random order), `strongest` (whether no other unit of the layer is as strong for the image; None
        for a difference), `stopped` (why its ascent ended early, or None). The fact `steps` is the steps
        asked for, and `regularization` every part of it with the value used.

    Raises:
        UsageError: Options contradict each other, or the model has no such layer or unit.
    """
    from cnnexplain_activation_maximization.maxima import maxima
    from cnnexplain_activation_maximization.regularization import choose as choose_regularization
    from cnnexplain_activation_maximization.units import choose as choose_units

    wanted, warnings = choose_units(classifier, objectives, layer, unit)
    chosen = choose_regularization(
        regularization,
        decay=decay,
        blur=blur,
        blur_every=blur_every,
        norm_percentile=norm_percentile,
        contribution_percentile=contribution_percentile,
        total_variation=total_variation,
        jitter=jitter,
        rotate=rotate,
        zoom=zoom,
        parametrization=parametrization,
        rate=rate,
    )
    result = maxima(classifier, wanted, dataset, chosen, progress, steps=steps, starts=starts, seed=seed)
    return replace(result, warnings=(*warnings, *result.warnings))


def overview(record: Record) -> Mapping[str, Figure]:
    """The images in a grid, each with its unit, the value reached and how many times the best of the data set that is."""
    from cnnexplain_activation_maximization.pictures import grid

    return {"activation-maximization": grid(record)}


@hookimpl
def cnnexplain_analyses() -> list[Analysis]:
    """Offers the activation-maximization analysis."""
    return [
        Analysis(
            "activation-maximization",
            run,
            None,
            "Simonyan, Vedaldi, Zisserman 2013 (arXiv:1312.6034); Yosinski et al. 2015 (arXiv:1506.06579)",
            overview,
            "Such a picture is one of many that excite the unit, and the regularization decides which; it need not look "
            "like anything in the data, and does not show what else excites the unit.",
            "Each picture was changed step by step until it excited its unit; what recurs in it is what the unit looks for. "
            "The number under it is the value reached, beside the highest one among real images where a data set is given.",
            trial={"steps": 2, "starts": 1},
        )
    ]
