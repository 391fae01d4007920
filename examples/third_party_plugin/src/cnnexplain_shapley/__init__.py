"""The shapley analysis: the contribution of each square of an image to the score of the target."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Literal

from cnnexplain.plugin import Analysis, Option, Result, hookimpl

if TYPE_CHECKING:
    from cnnexplain import Classifier, Floats, Integers, Record
    from matplotlib.figure import Figure


def run(
    classifier: Classifier,
    images: Floats,
    targets: Integers,
    progress: Callable[[int, int], None],
    *,
    squares: Annotated[int, Option("The number of squares along the shorter side of the image.", min=1)] = 7,
    permutations: Annotated[
        int, Option("The number of random orders in which the squares are revealed; each is also reversed.", min=2)
    ] = 20,
    fill: Annotated[
        Literal["black", "gray", "white", "mean"],
        Option("The color of hidden squares; 'mean' is the mean color of the image."),
    ] = "black",
    seed: Annotated[int, Option("Seed of the random orders.", min=0)] = 0,
) -> Result:
    """Contribution of each square to the score of the target, averaged over all orders in which squares can be revealed.

    Castro, Gómez, Tejada 2009; for predictions Štrumbelj & Kononenko 2014: the Shapley value of square i is the mean, over
    all orders of the squares, of S(squares up to and including i) − S(squares before i). S is the logit of the class with
    all other squares filled. Each random order is also used in reverse (Mitchell et al. 2022, arXiv:2104.12199), which
    makes interactions of two squares exact. The values sum to S(image) − S(filled image) for any number of orders.

    Returns:
        Arrays `value` and `error` (N, P), the Shapley values of P squares, row by row, and their standard errors, both in
        logits, and `shapley` (N, H, W), for each pixel the value of its square. Facts `logit` and `filled_logit`, `sum` (of
        the values), `rows` and `columns` (of squares).

    Raises:
        UsageError: There are more squares than pixels along the shorter side.
    """
    from cnnexplain_shapley.values import shapley

    return shapley(classifier, images, targets, progress, squares=squares, permutations=permutations, fill=fill, seed=seed)


def draw(record: Record, index: int) -> Figure:
    """The image and the map of its squares."""
    from cnnexplain import draw

    figure, (left, right) = draw.row(2, record, bars=[1])
    draw.input_image(left, record, index)
    draw.title(left, "input")
    draw.signed_map(right, record.arrays["shapley"][index], "logits per square")
    draw.title(right, f"Shapley values, fill: {record.options['fill']}")
    draw.caption(figure, record, index)
    return figure


@hookimpl
def cnnexplain_analyses() -> list[Analysis]:
    """Declares the analysis."""
    return [
        Analysis(
            "shapley",
            run,
            draw,
            "Castro, Gómez, Tejada 2009 (doi:10.1016/j.cor.2008.04.004); "
            "Štrumbelj & Kononenko 2014 (doi:10.1007/s10115-013-0679-x)",
            limitations="The network was not trained on images with filled squares, and another filling gives other values.",
            how_to_read="Red squares raise the score of the target and blue squares lower it, averaged over all subsets of "
            "the other squares. The values of all squares sum to the difference from the score of the filled image.",
            maps={"shapley": "logits per square"},
            trial={"squares": 3, "permutations": 2},
        )
    ]
