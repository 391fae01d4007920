"""The inversion analysis: what information a layer retains of the image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cnnexplain.plugin import Analysis, Option, Result, hookimpl

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from matplotlib.figure import Figure

    from cnnexplain import Classifier, Floats, Record

SIDE, WORDS, COLUMNS = 1.9, 1.75, 5
"""Inches of a panel's longer side, of its width at least, so that its numbers fit, and how many go in a row at most."""

ACROSS, TITLE, FOOT = 0.25, 0.3, 0.5
"""Inches between panels, for a panel's title, and for the numbers under it."""


def run(
    classifier: Classifier,
    images: Floats,
    progress: Callable[[int, int], None],
    *,
    layer: Annotated[
        tuple[str, ...],
        Option(
            "A layer to invert, or 'logits' (the values of a regression model). Default: every layer that computes "
            "something new; in a network with more than twelve such layers, the last layer of each stage."
        ),
    ] = (),
    most: Annotated[
        int | None, Option("The maximum number of layers if none is named, taken from all depths.", min=1)
    ] = None,
    parametrization: Annotated[
        Literal["spectrum", "pixels", "pixels-2016"] | None,
        Option(
            "What is optimized: a Fourier 'spectrum' in decorrelated colors; the 'pixels', as in the paper of 2015; or "
            "the pixels with bounded colors and jitter, as in the paper of 2016 ('pixels-2016'). Default: spectrum for "
            "color inputs of at least 64 pixels, otherwise pixels."
        ),
    ] = None,
    iterations: Annotated[
        int | None,
        Option(
            "Optimization steps. Default: 300 for spectrum, 350 for pixels-2016, 200 for pixels, and 400 with momentum, "
            "as in the paper.",
            min=1,
        ),
    ] = None,
    optimizer: Annotated[
        Literal["adam", "momentum"],
        Option("The optimizer for pixels: 'adam' with cosine decay, or gradient descent with 'momentum', as in the paper."),
    ] = "adam",
    alpha_weight: Annotated[
        float | None,
        Option(
            "The weight of the α-norm, which bounds the pixels. Default: for pixels 1/100 of the paper's, scaled to the "
            "input size (56 for digits; the paper's is 5556); for pixels-2016 1; for spectrum 0.01, and 0.06 for deep "
            "ReLUs.",
            min=0,
        ),
    ] = None,
    variation_weight: Annotated[
        float | None,
        Option(
            "The weight of the total variation, which smooths. Default: for pixels the paper's for the layer's depth, "
            "scaled to the input size; for pixels-2016 42.25; for spectrum 4 in early layers, 8 in others and 30 for deep "
            "ReLUs.",
            min=0,
        ),
    ] = None,
    sigma: Annotated[
        float | None,
        Option(
            "For pixels, the typical Euclidean norm of a mean-subtracted image, in the model's input range. Default: "
            "measured on MNIST for a digit model, otherwise estimated from the range.",
            min=1e-6,
        ),
    ] = None,
    seed: Annotated[int, Option("Seed of the initial noise and the jitter.", min=0)] = 0,
) -> Result:
    """What each layer retains of the image, shown by an image optimized from noise to have nearly the same representation.

    Mahendran & Vedaldi 2015 and 2016: the reconstruction is the image x that minimizes ‖Φ(x) − Φ0‖² / ‖Φ0‖² and regularizers
    that keep it natural, with Φ a layer's output and Φ0 that for the image. The start is noise, the same for every image and
    layer. Three ways are offered (`parametrization`); each minimizes
    w · ‖Φ − Φ0‖² / ‖Φ0‖² + λ_α · α-norm + λ_V · total variation.

    "spectrum" optimizes the Fourier spectrum of z, an unbounded picture in decorrelated colors (Olah et al. 2017), of which
    u = sigmoid(z) is the reconstruction between black and white. The α-norm is mean z², the total variation mean |∇u|², and
    w = 1. Where Φ is the output of a ReLU the gradient passes as if it had none.

    "pixels" optimizes x' = (x − mean) / σ, with α = 6, the α-norm ‖x'‖₆⁶, the total variation Σ |∇x'|², and w = 1. The
    paper's weights are for 227 × 227 × 3 numbers: λ_α = 2.16e8 and λ_V = 0.5, 5, 50. For M numbers in H × W pixels λ_α
    scales as M², and a hundredth of it is taken. A smooth image of norm 1, resampled, has a total variation ∝ 1 / HW; so λ_V
    scales as HW. For a model of digits the mean, one number per channel, and σ, the mean norm of an image less that, are
    measured on MNIST's training images. For others the mean is the middle of the input range, and σ is √(H · W · C) times a
    quarter of the range. What is kept is the x' of the lowest value met.

    "pixels-2016" optimizes v = (x − mean) / B, B being 80/255 of the input range, with the α-norm mean ‖v‖⁶ over the
    colors, the total variation mean |∇v|², λ_α = 1, λ_V = 6.5² and w = 300, 20 and 1. Colors are kept within ‖v‖ ≤ 2, and
    the network sees the image moved by up to a quarter of the layer's stride, another way at each step but the last seventh.

    Weights given by depth are for layers in the first, second and last third of the model's, in the order of computation.

    Returns:
        Arrays `reconstruction/LAYER` (N, H, W, C), in the model's input range; those of pixels are not clipped to it. Facts
        with a value for each layer: `representation_error` ‖Φ(x) − Φ0‖² / ‖Φ0‖² and `pixel_error` ‖x − x0‖² / ‖x0 − mean‖²,
        both of the reconstruction x as it is, and absolute where the divisor is 0; `representation_norm` ‖Φ0‖; `alpha_norm`
        and `total_variation`, with the weights `data_weight`, `alpha_weight` and `variation_weight`; `prediction` (index)
        and `probability` (0 to 1) of the reconstruction, or of a model of values the first `value`, None where they are not
        finite; `stopped`, why the optimization
        ended early, or None. Facts of the whole: `parametrization`, `iterations`, the channels' `mean`, and for pixels
        `sigma` (both in the input range).

    Raises:
        UsageError: The model has no such layer, or `optimizer` or `sigma` is given and the pixels aren't optimized.
        ModelError: A layer's output is not finite, or does not depend on the image.
    """
    from cnnexplain_plugins.inversion.inversion import invert

    return invert(
        classifier,
        images,
        progress,
        layers=layer,
        most=most,
        parametrization=parametrization,
        iterations=iterations,
        optimizer=optimizer,
        alpha_weight=alpha_weight,
        variation_weight=variation_weight,
        sigma=sigma,
        seed=seed,
    )


def draw(record: Record, index: int) -> Figure:
    """The image and its reconstruction from each layer, all on the scale of the model's input range."""
    from cnnexplain import draw
    from cnnexplain.draw import wording

    facts = {name: fact[index] for name, fact in record.facts.items()}
    names = list(facts["representation_error"])
    wide, tall = draw.panel_size(record, SIDE)
    wide = max(wide, WORDS)
    rows = -(-(len(names) + 1) // COLUMNS)
    columns = -(-(len(names) + 1) // rows)
    pitch = TITLE + tall + FOOT
    figure = draw.sheet(record, columns * (wide + ACROSS) - ACROSS, rows * pitch - TITLE)
    panels = [
        draw.panel(figure, place % columns * (wide + ACROSS), place // columns * pitch, wide, tall)
        for place in range(len(names) + 1)
    ]
    draw.input_image(panels[0], record, index)
    draw.title(panels[0], "input")
    for panel, name in zip(panels[1:], names, strict=True):
        draw.image_values(panel, record, record.arrays[f"reconstruction/{name}"][index])
        early = "" if facts["stopped"][name] is None else " (ended early)"
        draw.title(panel, wording.layer_name(record, name) + early, tail=True)
        draw.text_below(
            panel,
            f"representation error {_short(facts['representation_error'][name])}\n"
            f"pixel error {_short(facts['pixel_error'][name])}\n"
            f"{_answer(record, facts, name)}",
        )
    draw.caption(figure, record, index)
    return figure


def _answer(record: Record, facts: Mapping[str, Any], name: str) -> str:
    """What the model answers for the reconstruction from a layer."""
    from cnnexplain import draw
    from cnnexplain.draw import formatting, wording

    if "value" in facts:
        value = facts["value"][name]
        unit = record.explained[0].unit
        return f"{draw.class_name(record, 0, 14)} " + (
            "not finite" if value is None else wording.model_output(None, value, unit)
        )
    prediction, probability = facts["prediction"][name], facts["probability"][name]
    label = "nothing" if prediction is None else draw.class_name(record, prediction, 14)
    return f"predicted {label}" + ("" if probability is None else f" ({formatting.probability(probability)})")


def _short(error: float) -> str:
    """An error for people: three decimals, none from 10 on, and a power of ten where three would be zeros."""
    if 0 < error < 0.0005:
        return f"{error:.0e}".replace("-", "−")
    return f"{error:.3f}" if error < 10 else f"{error:.0f}"


def passes(classifier: Classifier, options: Mapping[str, Any]) -> float:
    """A gradient for each step and layer; of a layer half-way up, only half of the network is passed."""
    from cnnexplain_plugins.inversion import inversion

    way = options["parametrization"] or inversion.default(classifier)
    steps = options["iterations"] or inversion.steps(way, options["optimizer"])
    names = [layer.name for layer in classifier.layers]
    layers = [classifier.layer(name).name for name in options["layer"]] or inversion.chosen(classifier, options["most"])
    depths = [(names.index(name) + 1) / len(names) if name in names else float(name != "input") for name in layers]
    return 2 * steps * sum(depths)


def finding(record: Record, index: int) -> str:
    """How well the layer half-way up was inverted, and in how many the reconstruction keeps the predicted class."""
    from cnnexplain.draw import wording

    errors = record.facts["representation_error"][index]
    names = list(errors)
    name = names[len(names) // 2]
    layer, error = wording.layer_name(record, name), _short(errors[name])
    recovered = f"At {layer} the image is recovered to a representation error of {error}"
    if "value" in record.facts:
        return f"{recovered}, with {_answer(record, {'value': record.facts['value'][index]}, name)}."
    predictions = record.facts["prediction"][index]
    own = record.explained[index].prediction
    lost = [each for each in names if predictions[each] != own]
    kept = len(names) - len(lost)
    if len(names) == 1:
        classes = "the predicted class is kept" if kept else "the predicted class is not kept"
    elif not lost:
        classes = f"the predicted class is kept in all {len(names)} layers"
    else:
        classes = f"the predicted class is kept in {kept} of {len(names)} layers"
    return f"{recovered}; {classes}."


@hookimpl
def cnnexplain_analyses() -> list[Analysis]:
    """Offers the inversion analysis."""
    return [
        Analysis(
            "inversion",
            run,
            draw,
            "Mahendran & Vedaldi 2015 (arXiv:1412.0035)",
            limitations="Networks with random weights can be inverted as well (He, Wang & Hopcroft 2016, "
            "arXiv:1606.04801): a good reconstruction shows what a layer retains, not that it has learned anything.",
            how_to_read="Each reconstruction has nearly the same representation in its layer as the image. What both show "
            "is retained by the layer; what is missing or wrong in the reconstruction is not. The error measures how "
            "close the representations are.",
            trial={"iterations": 2, "most": 3},
            quick={"most": 3, "iterations": 120},
            passes=passes,
            finding=finding,
        )
    ]
