"""The activation-maximization analysis: which image activates an output, a feature map or a neuron most."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal

from cnnexplain.errors import UsageError
from cnnexplain.plugin import Analysis, Check, Measurement, Option, Result, Subject, hookimpl

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from matplotlib.figure import Figure

    from cnnexplain import Classifier, Objective, Record, Stream


def run(
    classifier: Classifier,
    objectives: list[Objective],
    dataset: Stream | None,
    progress: Callable[[int, int], None],
    *,
    layer: Annotated[
        str | None,
        Option(
            "The layer whose units to show. Default: the model's outputs (class scores before the softmax, or the values "
            "of a regression model)."
        ),
    ] = None,
    unit: Annotated[
        tuple[str, ...],
        Option(
            "A unit of the layer: K for the mean of a feature map or a dense unit, ROW,COLUMN,K for one neuron of a map."
        ),
    ] = (),
    regularization: Annotated[
        Literal["maco", "spectrum", "robust", "fourier", "yosinski-1", "yosinski-2", "yosinski-3", "yosinski-4", "none"]
        | None,
        Option(
            "How pictures are kept from becoming noise: by the spectrum of photographs (maco) or a damped one (spectrum), "
            "both in decorrelated colors and seen in random crops; by slightly varying views and total variation (robust), "
            "also on a Fourier spectrum (fourier); by one of the four settings of Yosinski et al.; or not at all (none). "
            "The options below override its parts. Default: maco for color inputs of at least 64 pixels, otherwise robust."
        ),
    ] = None,
    decay: Annotated[
        float | None, Option("The share by which pixels decay toward the empty picture in each step.", min=0, max=1)
    ] = None,
    blur: Annotated[
        float | None, Option("The standard deviation of a Gaussian blur in pixels; 0 for no blur.", min=0, max=100)
    ] = None,
    blur_every: Annotated[int | None, Option("The number of steps between blurs.", min=1)] = None,
    norm_percentile: Annotated[
        float | None, Option("Pixels with a norm below this percentile are cleared after each step.", min=0, max=100)
    ] = None,
    contribution_percentile: Annotated[
        float | None, Option("Pixels with a contribution below this percentile are cleared after each step.", min=0, max=100)
    ] = None,
    total_variation: Annotated[float | None, Option("The weight of the total variation.", min=0)] = None,
    jitter: Annotated[
        float | None, Option("The maximum random shift of the network's view, in pixels.", min=0, max=100)
    ] = None,
    rotate: Annotated[float | None, Option("The maximum random rotation of the view, in degrees.", min=0, max=180)] = None,
    zoom: Annotated[
        float | None,
        Option("The maximum random enlargement or reduction of the view, as a share of its size.", min=0, max=10),
    ] = None,
    parametrization: Annotated[
        Literal["pixels", "fourier"] | None,
        Option("What is optimized: the pixels, or the coefficients of a Fourier spectrum that falls as 1/f."),
    ] = None,
    canvas: Annotated[
        int | None, Option("For maco and spectrum: the picture's longer side in pixels.", min=16, max=2048)
    ] = None,
    views: Annotated[
        int | None, Option("For maco and spectrum: the number of crops that the network sees in each step.", min=1, max=64)
    ] = None,
    smallest_view: Annotated[
        float | None,
        Option("For maco and spectrum: the smallest side of a crop, as a share of the picture's.", min=0.01, max=1),
    ] = None,
    largest_view: Annotated[
        float | None,
        Option("For maco and spectrum: the largest side of a crop, as a share of the picture's.", min=0.01, max=1),
    ] = None,
    view_noise: Annotated[
        float | None,
        Option(
            "For maco and spectrum: the standard deviation of the noise on crops, as a share of the input range.",
            min=0,
            max=1,
        ),
    ] = None,
    low_pass: Annotated[
        float | None, Option("For spectrum: how strongly high frequencies are damped, in pixels.", min=0, max=100)
    ] = None,
    rate: Annotated[
        float | None, Option("The optimizer's learning rate; for pixels as a share of the input range.", min=1e-6)
    ] = None,
    steps: Annotated[int, Option("The number of gradient ascent steps.", min=1)] = 200,
    starts: Annotated[
        int | None,
        Option(
            "The number of noise images to start from; the best result is kept. Default: 1 for maco and spectrum; for "
            "pixels 16, those of 64 that activate the unit most; after a tenth of the steps, the best 6 go on, and after "
            "three tenths the best 3.",
            min=1,
            max=64,
        ),
    ] = None,
    diversity: Annotated[
        int, Option("For maco and spectrum: the number of pictures per unit, made as different as possible.", min=1, max=16)
    ] = 1,
    opacity: Annotated[
        bool, Option("For maco and spectrum: fade out what mattered little, according to the accumulated gradients.")
    ] = False,
    judge: Annotated[
        str | None,
        Option(
            "Another classifier with the same labels, by name or file: the rank of the target in its prediction is reported."
        ),
    ] = None,
    seed: Annotated[int, Option("Seed of the noise images and the random views.", min=0)] = 0,
) -> Result:
    """Images that activate an output, a feature map or a neuron as strongly as possible.

    Simonyan et al. 2013, section 2, and Yosinski et al. 2015, section 3: x* = argmax a(x) − R(x), by gradient ascent from
    noise, where a is the score of a class before the softmax, the mean of a feature map, or a neuron. With `maco` (Fel et
    al. 2023) and `spectrum` (Olah et al. 2017) the picture is larger than the model's input, and the model sees crops of it.

    Returns:
        The array `optimum` (U, H, W, C), a picture for each unit, in the model's input range, whole and at its own size;
        with `opacity` the array of that name (U, H, W), Σ |∂a/∂u| over steps; with a data set `patch/NUMBER` (≤ 9, h, w, C)
        for each unit, its strongest natural patches, pixels from 0 to 255. Facts with one entry for each picture: `unit`
        (its name), `value` (for the whole picture, resized to the input), `view_value` (the mean over 32 crops that were not
        optimized, for `maco` and `spectrum`), `best` and `best_image` (the highest value in the data set, and its image),
        `ratio` (of `view_value`, or else `value`, to `best`; None without a data set, or if its best is not above 0),
        `noise` (the value for the pixels of the picture in random order), `strongest` (whether no other unit of the layer is
        as strong for the picture; None for a sum or a direction), `judge_rank` and `judge_best_rank` (the rank of the class
        for the judge, from 1, for the whole picture, and the best over it and nine crops of half its side), `stopped` (why
        the ascent ended early, or None). With one entry for each unit: `patch_values` and `patch_images`. `judge` is its
        name and hash, `steps` and `starts` are the numbers used, and `regularization` is its name and all of its parts with
        the values used.

    Raises:
        UsageError: Options contradict each other, or the model has no such layer or unit.
    """
    from cnnexplain import load
    from cnnexplain_plugins.activation_maximization.maxima import maxima
    from cnnexplain_plugins.activation_maximization.recipes import Recipe
    from cnnexplain_plugins.activation_maximization.recipes import choose as choose_recipe
    from cnnexplain_plugins.activation_maximization.units import choose as choose_units

    both = {"rotate": rotate, "rate": rate}
    pixels = {
        "decay": decay,
        "blur": blur,
        "blur_every": blur_every,
        "norm_percentile": norm_percentile,
        "contribution_percentile": contribution_percentile,
        "total_variation": total_variation,
        "jitter": jitter,
        "zoom": zoom,
        "parametrization": parametrization,
    }
    spectra = {
        "canvas": canvas,
        "views": views,
        "smallest_view": smallest_view,
        "largest_view": largest_view,
        "view_noise": view_noise,
        "low_pass": low_pass,
    }
    name, setting = choose_recipe(regularization, classifier.preprocess, pixels | both, spectra | both)
    if not isinstance(setting, Recipe) and (diversity > 1 or opacity):
        raise UsageError(f"--{'diversity' if diversity > 1 else 'opacity'} goes with the regularizations maco and spectrum.")
    units, warnings = choose_units(classifier, objectives, layer, unit, slow=isinstance(setting, Recipe))
    result = maxima(
        classifier,
        units,
        dataset,
        setting,
        progress,
        name=name,
        judge=None if judge is None else load(judge),
        steps=steps,
        starts=starts,
        diversity=diversity,
        opacity=opacity,
        seed=seed,
    )
    return replace(result, warnings=(*warnings, *result.warnings))


def overview(record: Record) -> Mapping[str, Figure]:
    """The images in a grid, each with its unit, the value reached, and its ratio to the best value in the data set."""
    from cnnexplain_plugins.activation_maximization.figure import grid

    return {"activation-maximization": grid(record)}


def passes(classifier: Classifier, options: Mapping[str, Any]) -> float:
    """For two units, a gradient for each view, step and start that goes on, and a forward pass for each held-out view."""
    from cnnexplain_plugins.activation_maximization.recipes import RECIPES, choose
    from cnnexplain_plugins.activation_maximization.spectral import HELD_OUT
    from cnnexplain_plugins.activation_maximization.starts import default_stages

    name, _ = choose(options["regularization"], classifier.preprocess, {}, {})
    if name not in RECIPES:
        steps, starts = options["steps"], options["starts"]
        return float(
            2 * 2 * sum(count * length for count, length in ([(starts, steps)] if starts else default_stages(steps)))
        )
    views = options["views"] or RECIPES[name].views
    pictures = 2 * (options["starts"] or 1) * options["diversity"]
    return float(pictures * (2 * options["steps"] * views + HELD_OUT))


def check_values(subject: Subject) -> Measurement:
    """Computes the values of the units again."""
    from cnnexplain_plugins.activation_maximization.value_check import measure

    return measure(subject)


@hookimpl
def cnnexplain_analyses() -> list[Analysis]:
    """Declares activation maximization."""
    return [
        Analysis(
            "activation-maximization",
            run,
            None,
            "Simonyan, Vedaldi, Zisserman 2013 (arXiv:1312.6034); Yosinski et al. 2015 (arXiv:1506.06579); "
            "Fel et al. 2023 (arXiv:2306.06805)",
            overview,
            "Each picture is only one of many that activate the unit, selected by the regularization. It need not look "
            "like the training data, and does not show what else activates the unit. Natural images predict a unit's "
            "responses better (Borowski et al. 2021).",
            "Each picture was optimized step by step to activate its unit; elements that recur in it are what the unit "
            "responds to. The value reached is printed below: for pictures larger than the model's input, the mean over "
            "crops that were not optimized, and the value of the whole picture. Beside it are the images of a data set "
            "that activate the unit most, or what a unit of feature maps sees of them.",
            trial={"steps": 2, "starts": 1},
            quick={"steps": 80},
            passes=passes,
            checks=(
                Check(
                    "values",
                    "The values recomputed from the saved pictures are the recorded ones.",
                    check_values,
                ),
            ),
        )
    ]
