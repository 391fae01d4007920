"""The shapley analysis: how the squares of an image share out the score of the target."""

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
    squares: Annotated[int, Option("How many squares go along the image's shorter side.", min=1)] = 7,
    permutations: Annotated[
        int, Option("In how many random orders, each also backwards, the squares are shown one after another.", min=2)
    ] = 20,
    fill: Annotated[
        Literal["black", "gray", "white", "mean"],
        Option("What stands for a square that isn't shown; 'mean' is the image's."),
    ] = "black",
    seed: Annotated[int, Option("Decides the orders.", min=0)] = 0,
) -> Result:
    """What each square of the image adds to the score of the target, on average over all orders of showing them.

    Castro, Gómez, Tejada 2009; for predictions Štrumbelj & Kononenko 2014: the Shapley value of square i is the mean, over
    the orders of all squares, of S(those before i, and i) − S(those before i), with S the logit of the class and every other
    square filled. Each random order is also taken backwards (Mitchell et al. 2022, arXiv:2104.12199), which makes what two
    squares do together exact. The values add up to S(image) − S(filled image), whatever the number of orders.

    Returns:
        Arrays `value` and `error` (N, P), the Shapley values of P squares, row by row, and their standard errors, both in
        logits, and `shapley` (N, H, W), for each pixel the value of its square. Facts: `logit` and `filled_logit`, `sum` (of
        the values), `rows` and `columns` (of squares).

    Raises:
        UsageError: There are more squares than pixels along the shorter side.
    """
    from cnnexplain_shapley.values import shapley

    return shapley(classifier, images, targets, progress, squares=squares, permutations=permutations, fill=fill, seed=seed)


def draw(record: Record, index: int) -> Figure:
    """The image beside the map of its squares."""
    from cnnexplain import draw

    figure, (left, right) = draw.row(2, record, bars=[1])
    draw.input_image(left, record, index)
    draw.title(left, "input")
    draw.signed_map(right, record.arrays["shapley"][index], "logits per square")
    draw.title(right, f"Shapley values, against {record.options['fill']}")
    draw.caption(figure, record, index)
    return figure


@hookimpl
def cnnexplain_analyses() -> list[Analysis]:
    """Offers the shapley analysis."""
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
