"""The occlusion analysis: what the network makes of an image when a square hides a part of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

from cnnexplain.fills import FILLS
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
    patch: Annotated[
        int | None, Option("Side of the square in pixels. Default: a quarter of the image's shorter side.", min=1)
    ] = None,
    stride: Annotated[
        int | None,
        Option("Pixels from one position of the square to the next, at most its side. Default: a seventh of it.", min=1),
    ] = None,
    fill: Annotated[str, Option(f"What the square shows: {FILLS}")] = "grey",
    layer: Annotated[
        str | None,
        Option("The layer whose strongest feature map is watched. Default: the last convolution, after its ReLU."),
    ] = None,
) -> Result:
    """What hiding each part of the image behind a square does to the score, the prediction and a feature map.

    Zeiler and Fergus 2014, section 4.2 and figure 7. The square goes over the image in steps of the stride, and to its last
    rows and columns, so that every pixel is hidden at least once. The strongest feature map is the one with the largest
    total activation for the image without the square; a model without convolutions has none, unless a layer is named.

    Returns:
        Arrays by position of the square, (N, rows, columns): `logit` and `probability` of the target, `prediction` (index of
        the most probable class) and `activation` (total, of the strongest feature map). Arrays by pixel, (N, H, W), means
        over the squares that hide it: `logit_drop` and `probability_drop`, what the image has without the square less what
        it has with it. `occluded` (N, H, W, C), in the model's input range: the image with the square of the largest drop.
        Facts: `unoccluded_logit`, `unoccluded_probability`, `largest_drop` (of the logit, over the positions) with
        `largest_drop_square` (its top row and left column), `rows` and `columns` (the top rows and left columns of the
        squares), `patch` and `stride` in pixels, `layer`, `feature_map` (its index) and `unoccluded_activation`.

    Raises:
        UsageError: The square is larger than the image or smaller than the stride, the fill is none of those, or the layer
            does not exist or has no feature maps.
    """
    from cnnexplain_occlusion.maps import occlusion

    return occlusion(classifier, images, targets, progress, patch=patch, stride=stride, fill=fill, layer=layer)


def draw(record: Record, index: int) -> Figure:
    """The image, its worst square and the drop over it; below, the paper's three maps by position of the square."""
    from cnnexplain_occlusion.picture import picture

    return picture(record, index)


NOTE = (
    "A network has never seen such a square, so that a drop may come from the square itself and not from what it hides; "
    "and what two parts of the image show alike costs little when only one of them is hidden."
)

READING = (
    "Red is what the class is recognised by: with it hidden the score falls. Blue is what speaks against the class: with it "
    "hidden the score rises. The lower row shows, for each place of the square, what the network then says."
)


@hookimpl
def cnnexplain_analyses() -> list[Analysis]:
    """Offers the occlusion analysis."""
    return [
        Analysis(
            "occlusion",
            run,
            draw,
            "Zeiler, Fergus 2014 (arXiv:1311.2901)",
            note=NOTE,
            reading=READING,
            maps={"logit_drop": "logits", "probability_drop": "probability"},
        )
    ]
