"""The inversion analysis: what a layer still knows of the image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from cnnexplain.plugin import Analysis, Option, Result, hookimpl

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.figure import Figure

    from cnnexplain.arrays import Floats
    from cnnexplain.classifier import Classifier
    from cnnexplain.record import Record

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
        Option("A layer to invert, or 'logits'. Default: every layer with numbers of its own, twelve at most."),
    ] = (),
    iterations: Annotated[
        int | None, Option("Steps of the optimisation. Default: 200 for adam, and the paper's 400 for momentum.", min=1)
    ] = None,
    optimizer: Annotated[
        Literal["adam", "momentum"],
        Option("How to descend: 'adam' with a cosine decay, or the paper's gradient descent with 'momentum'."),
    ] = "adam",
    alpha_weight: Annotated[
        float | None,
        Option(
            "The weight of the α-norm, which bounds the pixels. Default: the paper's, brought to the size of the input.",
            min=0,
        ),
    ] = None,
    variation_weight: Annotated[
        float | None,
        Option(
            "The weight of the total variation, which smooths. Default: the paper's for the layer's depth, brought to "
            "the size of the input.",
            min=0,
        ),
    ] = None,
    sigma: Annotated[
        float | None,
        Option(
            "The typical Euclidean norm of an image less the mean, in the model's input range. Default: measured on "
            "MNIST for a model of digits, else guessed from the range.",
            min=1e-6,
        ),
    ] = None,
    seed: Annotated[int, Option("Decides the noise that the optimisation starts from.", min=0)] = 0,
) -> Result:
    """What each layer still knows of the image: another image, made from noise, that the layer sees as nearly the same.

    Mahendran & Vedaldi 2015: x* minimises ‖Φ(σx) − Φ0‖² / ‖Φ0‖² + λ_α ‖x‖_α^α + λ_V TV(x), with Φ a layer's output, Φ0
    that for the image, α = 6, and TV(x) the sum of (x_{i,j+1} − x_ij)² + (x_{i+1,j} − x_ij)². The network is shown
    mean + σx, and mean + σx* is the reconstruction. The start is Gaussian noise of norm 1, the same for every image and
    layer; what is kept is the x of the lowest value met.

    The paper's weights are for 227 × 227 × 3 numbers: λ_α = 2.16e8 and λ_V = 0.5, 5, 50. For M numbers in H × W pixels λ_α
    scales as M². A smooth image of norm 1, resampled, has TV ∝ 1 / HW; so λ_V scales as HW. It is made of 0.5, 5 or 50 for a
    layer in the first, second or last third of the model's layers, in the order of computation.

    For a model of digits the mean, one number per channel, and σ, the mean norm of an image less that, are measured on
    MNIST's training images. For others they are guessed: the mean is the middle of the input range, and σ is √(H · W · C)
    times a quarter of the range.

    Returns:
        Arrays `reconstruction/LAYER` (N, H, W, C), in the model's input range but not clipped to it. Facts with a value for
        each layer: `representation_error` ‖Φ(x) − Φ0‖² / ‖Φ0‖² and `pixel_error` ‖x − x0‖² / ‖x0 − mean‖², both of the
        reconstruction x as it is, and absolute where the divisor is 0; `representation_norm` ‖Φ0‖; `alpha_norm` ‖x*‖_α^α
        and `total_variation` TV(x*), with the weights `alpha_weight` and `variation_weight`; `prediction` (index) and
        `probability` (0 to 1) of the reconstruction, None where they are not finite; `stopped`, why the optimisation ended
        early, or None. Facts of the whole: `iterations`, `sigma` and the channels' `mean` (both in the input range).

    Raises:
        UsageError: The model has no such layer.
        ModelError: A layer's output is not finite, or does not depend on the image.
    """
    from cnnexplain_inversion.inversion import invert

    return invert(
        classifier,
        images,
        progress,
        layers=layer,
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
    draw.image(panels[0], record, index)
    draw.title(panels[0], "input")
    for panel, name in zip(panels[1:], names, strict=True):
        draw.picture(panel, record, record.arrays[f"reconstruction/{name}"][index])
        early = "" if facts["stopped"][name] is None else " (ended early)"
        draw.title(panel, name + early, tail=True)
        prediction, probability = facts["prediction"][name], facts["probability"][name]
        label = "nothing" if prediction is None else draw.name(record, prediction, 14)
        draw.below(
            panel,
            f"representation error {_short(facts['representation_error'][name])}\n"
            f"pixel error {_short(facts['pixel_error'][name])}\n"
            f"predicted {label}" + ("" if probability is None else f" ({draw.percent(probability)})"),
        )
    draw.caption(figure, record, index)
    return figure


def _short(error: float) -> str:
    """An error for people: three decimals, none from 10 on, and a power of ten where three would be zeros."""
    if 0 < error < 0.0005:
        return f"{error:.0e}"
    return f"{error:.3f}" if error < 10 else f"{error:.0f}"


@hookimpl
def cnnexplain_analyses() -> list[Analysis]:
    """Offers the inversion analysis."""
    return [
        Analysis(
            "inversion",
            run,
            draw,
            "Mahendran & Vedaldi 2015 (arXiv:1412.0035)",
            note="Networks with random weights invert well too (He, Wang & Hopcroft 2016, arXiv:1606.04801): a good "
            "reconstruction shows what a layer keeps, not that it has learnt anything.",
            reading="Each picture has nearly the same code in that layer as the image: what both show, the layer keeps; "
            "what the picture has lost or got wrong, the layer can no longer tell. The error says how near the codes are.",
            trial={"iterations": 2},
        )
    ]
