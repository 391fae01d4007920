"""The occlusion analysis: how the output of the network changes when a square hides a part of the image."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

from cnnexplain.numerics import BASELINES
from cnnexplain.plugin import Analysis, Check, Measurement, Option, Result, Subject, hookimpl

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float32, Int64
    from matplotlib.figure import Figure

    from cnnexplain import Classifier, Record


def run(
    classifier: Classifier,
    images: Float32[np.ndarray, "N H W C"],
    targets: Int64[np.ndarray, " N"],
    progress: Callable[[int, int], None],
    *,
    patch: Annotated[
        int | None, Option("Side of the square in pixels. Default: a quarter of the image's shorter side.", min=1)
    ] = None,
    stride: Annotated[
        int | None,
        Option(
            "Distance in pixels between positions of the square, at most its side. Default: a seventh of the side, or a "
            "quarter if two squares are compared.",
            min=1,
        ),
    ] = None,
    fill: Annotated[str, Option(f"The fill of the square: {BASELINES}")] = "gray",
    compare: Annotated[
        str | None,
        Option(
            "The fill of a second square (as for --fill), whose map is compared with the first; 'none' for no second "
            "square. Default: 'blur' for color images of at least 64 pixels ('gray' with --fill blur), otherwise none."
        ),
    ] = None,
    layer: Annotated[
        str | None,
        Option("The layer whose strongest feature map is recorded. Default: the last convolution, after its ReLU."),
    ] = None,
) -> Result:
    """How the score, the prediction and a feature map change while a square hides each part of the image.

    Zeiler and Fergus 2014, section 4.2 and figure 7. The square moves over the image in steps of the stride, and to the last
    rows and columns, so that every pixel is hidden at least once. The strongest feature map is the one with the largest
    total activation for the image without the square; a model without convolutions has none, unless a layer is named.

    Returns:
        Arrays by position of the square, (N, rows, columns): `logit` and `probability` of the target, `prediction` (index of
        the most probable class) and `activation` (the total of the strongest feature map). Arrays by pixel, (N, H, W), means
        over the squares that hide it: `logit_drop` and `probability_drop`, the value without the square minus that with it.
        `occluded` (N, H, W, C), in the model's input range: the image with the square of the largest drop. Facts:
        `unoccluded_logit`, `unoccluded_probability`, `largest_drop` (of the logit, over the positions) with
        `largest_drop_square` (its top row and left column), `rows` and `columns` (the top rows and left columns of the
        squares), `patch` and `stride` in pixels, `computation` (a sentence: in which layers only what a square changes was
        recomputed), `layer`, `feature_map` (its index) and `unoccluded_activation`.

        If two squares are compared, also the arrays `second_logit` by position and `second_logit_drop` by pixel, and the
        facts `second_fill`; `agreement`, Spearman's rank correlation of the two drops over the positions, None if one is
        constant; and the effect of the first square itself at the tenth of the positions where the second one changes the
        score least: `own_drop` (the median drop of the logit) and `own_changes` (the share of these positions at which the
        first square changes the prediction and the second does not).

    Raises:
        UsageError: The square is larger than the image or smaller than the stride, the fill is not valid, or the layer does
            not exist or has no feature maps.
    """
    from cnnexplain_plugins.occlusion.maps import occlusion

    return occlusion(
        classifier, images, targets, progress, patch=patch, stride=stride, fill=fill, compare=compare, layer=layer
    )


def draw(record: Record, index: int) -> Figure:
    """The image, the square of the largest drop, and the drop over the image; below, the paper's maps by position."""
    from cnnexplain_plugins.occlusion.figure import occlusion_figure

    return occlusion_figure(record, index)


def passes(classifier: Classifier, options: Mapping[str, Any]) -> float:
    """A forward pass for each position of each square, and one without."""
    from cnnexplain_plugins.occlusion.maps import positions, second_fill

    second = second_fill(classifier, options["fill"], options["compare"])
    squares = positions(classifier, options["patch"], options["stride"], second)
    return squares.count * (1 if second is None else 2) + 1


def finding(record: Record, index: int) -> str:
    """The square with the largest drop, and how far the map of the second square agrees."""
    from cnnexplain import draw
    from cnnexplain.draw import findings, formatting, wording

    facts = {name: fact[index] for name, fact in record.facts.items()}
    (row, column), side = facts["largest_drop_square"], facts["patch"]
    drop, logit = facts["largest_drop"], facts["unoccluded_logit"]
    middle = findings.ninth(row + side / 2 - 0.5, column + side / 2 - 0.5, record.images.shape[1:3])
    sign, target = wording.score_sign(record, index), f"the score of {findings.target(record, index)}"
    before, after = formatting.number_pair(sign * logit, sign * (logit - drop))
    lowers, raises = ("lowers", "raises") if sign > 0 else ("raises", "lowers")
    if wording.has_values(record):
        explained = record.explained[index]
        target, after = f"'{draw.class_name(record, explained.prediction)}'", f"{after} {explained.unit}".strip()
    effect = f"{lowers} {{}} the most" if drop > 0 else f"{raises} {{}} the least (every position {raises} it)"
    sentence = (
        f"Hiding the square at row {row}, column {column} ({side}×{side} pixels, {middle}) {effect.format(target)}: "
        f"{before} → {after}"
    )
    if drop == 0:
        sentence = f"Nowhere does hiding a square of {side}×{side} pixels {lowers.removesuffix('s')} {target}, {before}"
    if "agreement" in facts:
        agreement = facts["agreement"]
        comparison = (
            "can't be compared" if agreement is None else f"has a rank correlation of {formatting.number(agreement)}"
        )
        sentence += f"; the map of the second square ({facts['second_fill']}) {comparison} with it"
    return f"{sentence}."


NOTE = (
    "The network was not trained on images with such squares, so the square itself may cause a drop, not what it hides. "
    "If two parts of the image show the same evidence, hiding only one of them costs little."
)

READING = (
    "Red areas raise the score of the target: it falls when they are hidden. Blue areas lower it: it rises when they are "
    "hidden. The lower row shows the model's output for each position of the square."
)


def check_scores(subject: Subject) -> Measurement:
    """Compares recorded scores with those of images that are occluded in NumPy."""
    from cnnexplain_plugins.occlusion.square_checks import scores

    return scores(subject)


def check_means(subject: Subject) -> Measurement:
    """Compares pixels of the map with means over squares."""
    from cnnexplain_plugins.occlusion.square_checks import means

    return means(subject)


@hookimpl
def cnnexplain_analyses() -> list[Analysis]:
    """Declares occlusion."""
    return [
        Analysis(
            "occlusion",
            run,
            draw,
            "Zeiler, Fergus 2014 (arXiv:1311.2901)",
            limitations=NOTE,
            how_to_read=READING,
            maps={"logit_drop": "logits", "second_logit_drop": "logits", "probability_drop": "probability"},
            trial={"compare": "blur"},
            passes=passes,
            finding=finding,
            checks=(
                Check(
                    "brute force",
                    "The recorded scores are those of whole images with the square, computed one by one, at random "
                    "positions.",
                    check_scores,
                ),
                Check(
                    "means",
                    "Each pixel of a map is the mean drop over the squares that cover it, computed by a loop over all "
                    "squares.",
                    check_means,
                ),
            ),
        )
    ]
