"""The inversion analysis: what information a layer retains of the image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from cnnexplain.plugin import Analysis, Check, Measurement, Option, Result, Subject, hookimpl

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    import numpy as np
    from jaxtyping import Float32
    from matplotlib.figure import Figure

    from cnnexplain import Classifier, Record


def run(
    classifier: Classifier,
    images: Float32[np.ndarray, "N H W C"],
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
    that keep it natural, where Φ is the output of a layer and Φ0 its output for the image. The start is noise, the same for
    every image and layer. There are three parametrizations, each of which minimizes
    w · ‖Φ − Φ0‖² / ‖Φ0‖² + λ_α · α-norm + λ_V · total variation.

    "spectrum" optimizes the Fourier spectrum of z, an unbounded picture in decorrelated colors (Olah et al. 2017);
    u = sigmoid(z) is the reconstruction between black and white. The α-norm is mean z², the total variation mean |∇u|², and
    w = 1. If Φ is the output of a ReLU, the gradient passes as if there were none.

    "pixels" optimizes x' = (x − mean) / σ, with α = 6, the α-norm ‖x'‖₆⁶, the total variation Σ |∇x'|², and w = 1. The
    paper's weights are for 227 × 227 × 3 values: λ_α = 2.16e8 and λ_V = 0.5, 5, 50. For M values in H × W pixels, λ_α
    scales as M², and a hundredth of it is used. A smooth image of norm 1, resampled, has a total variation ∝ 1 / HW, so λ_V
    scales as HW. For a model of digits, the mean of each channel and σ, the mean norm of a mean-subtracted image, are
    measured on MNIST's training images. For others, the mean is the middle of the input range, and σ is √(H · W · C) times
    a quarter of the range. The x' with the lowest loss is kept.

    "pixels-2016" optimizes v = (x − mean) / B, where B is 80/255 of the input range, with the α-norm mean ‖v‖⁶ over the
    colors, the total variation mean |∇v|², λ_α = 1, λ_V = 6.5² and w = 300, 20 and 1. Colors are kept within ‖v‖ ≤ 2, and
    the network sees the image shifted by up to a quarter of the layer's stride, differently in each step except the last
    seventh of the steps.

    Where three weights are listed, they are for layers in the first, second and last third of the model, in the order of
    computation.

    Returns:
        Arrays `reconstruction/LAYER` (N, H, W, C), in the model's input range; those of pixels are not clipped to it. Facts
        with a value for each layer: `representation_error` ‖Φ(x) − Φ0‖² / ‖Φ0‖² and `pixel_error` ‖x − x0‖² / ‖x0 − mean‖²,
        both of the reconstruction x before clipping, and absolute if the divisor is 0; `representation_norm` ‖Φ0‖;
        `alpha_norm` and `total_variation`, with the weights `data_weight`, `alpha_weight` and `variation_weight`;
        `prediction` (index) and `probability` (0 to 1) of the reconstruction, or for a regression model its first `value`,
        None if they are not finite; `stopped`, why the optimization ended early, or None. Facts of the image:
        `parametrization`, `iterations`, the `mean` of the channels, and for pixels `sigma` (both in the input range).

    Raises:
        UsageError: The model has no such layer, or `optimizer` or `sigma` is given although pixels are not optimized.
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
    from cnnexplain_plugins.inversion import figure

    return figure.draw(record, index)


def passes(classifier: Classifier, options: Mapping[str, Any]) -> float:
    """A gradient for each step and layer, through the part of the network below the layer."""
    from cnnexplain_plugins.inversion import inversion

    parametrization = options["parametrization"] or inversion.default(classifier)
    steps = options["iterations"] or inversion.steps(parametrization, options["optimizer"])
    names = [layer.name for layer in classifier.layers]
    layers = [classifier.layer(name).name for name in options["layer"]]
    layers = layers or inversion.default_layers(classifier, options["most"])
    depths = [(names.index(name) + 1) / len(names) if name in names else float(name != "input") for name in layers]
    return 2 * steps * sum(depths)


def finding(record: Record, index: int) -> str:
    """How well the middle one of the layers was inverted, and how many reconstructions keep the predicted class."""
    from cnnexplain_plugins.inversion import figure

    return figure.finding(record, index)


def check_errors(subject: Subject) -> Measurement:
    """Computes the errors of the reconstructions again."""
    from cnnexplain_plugins.inversion.error_check import measure

    return measure(subject)


@hookimpl
def cnnexplain_analyses() -> list[Analysis]:
    """Declares inversion."""
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
            checks=(
                Check(
                    "errors",
                    "The errors recomputed from the saved reconstructions are the recorded ones.",
                    check_errors,
                ),
            ),
        )
    ]
