"""The intermediate-outputs analysis: what every layer returns for an image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from cnnexplain.plugin import Analysis, Check, Measurement, Option, Result, Subject, hookimpl

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float32
    from matplotlib.figure import Figure

    from cnnexplain import Classifier, Objective, Record
    from cnnexplain.plugin import Panel

ALL = "all"
"""The value of an option that selects every layer, or every map."""


def run(
    classifier: Classifier,
    images: Float32[np.ndarray, "N H W C"],
    objectives: list[Objective],
    *,
    layer: Annotated[
        tuple[str, ...],
        Option(
            "A layer to show ('outer/inner' in a nested model), or 'all'. Default: all layers if there are up to twenty; "
            "in a deeper network, one per stage and the output."
        ),
    ] = (),
    maps: Annotated[
        str | None,
        Option(
            "The number of feature maps to show large, those that contribute most; or 'all', in channel order. Default: "
            "24, or all if the layer has at most 32."
        ),
    ] = None,
    scale: Annotated[  # noqa: ARG001  # Read by draw, from the record's options.
        Literal["shared", "channel"],
        Option(
            "The color scale of feature maps: 'shared' within a layer, or 'channel', up to each map's own largest magnitude."
        ),
    ] = "shared",
) -> Result:
    """The output of every layer for an image, and how much each feature map contributes to the score of the target.

    Yosinski et al. 2015, section 2: the activations of every layer, all from one forward pass in inference mode. The
    contribution of a feature map A to the score S is Σ A · ∂S/∂A over its positions: to first order, by how much the score
    would drop if the map were multiplied by 0. It is exact if S is linear in the map, such as after global average pooling.
    `scale` only affects how the maps are drawn.

    Returns:
        For each layer the array `output/NAME` (N, *shape of the layer), raw and signed, and, if the score depends on it,
        `contribution/NAME` (N, C), signed, in logits, of its C maps or units. `probabilities` (N, K), the softmax of the
        logits. Facts: `value`, the score explained (the logit of the class, or the difference of two), and `layers`, for
        each image its layers in the order drawn, each with `name`, `kind`, `shape`, `unit` ("activation", "logit",
        "probability" or "value"), `min`, `max`; `dead` and `dead_channels`: how many and which channels or units are zero
        everywhere; `contribution`, the sum over its maps, None if the score does not depend on the layer; `shown`, the maps
        shown large, the largest contribution first; `field`, the receptive fields of its units, None if unknown: for rows
        and for columns start, step and size, so that unit i sees `size` pixels from start + i · step on, or, after resizing
        without regular steps, the first pixel and the one after the last for each unit; and `grid`, for tokens (T, C) that
        represent positions of the image row by row: rows, columns, and the index of the first such token, otherwise None.

    Raises:
        UsageError: The model has no such layer, or `maps` is neither a number nor "all".
    """
    from cnnexplain_plugins.intermediate_outputs.outputs import outputs

    return outputs(classifier, images, objectives, layer, maps)


def draw(record: Record, index: int) -> Figure:
    """The input, then for each layer its feature maps, largest the ones that contribute most, or a bar for each unit."""
    from cnnexplain_plugins.intermediate_outputs import figure

    return figure.draw(record, index)


def panels(record: Record, index: int) -> list[Panel]:
    """A panel for each layer with feature maps."""
    from cnnexplain_plugins.intermediate_outputs.layers import panels

    return panels(record, index)


def finding(record: Record, index: int) -> str:
    """Which feature map contributes most, in the last layer that has feature maps."""
    from cnnexplain_plugins.intermediate_outputs.layers import finding

    return finding(record, index)


def check_scores(subject: Subject) -> Measurement:
    """Compares the scores of the image with those from the outputs of layers."""
    from cnnexplain_plugins.intermediate_outputs.tail_checks import scores

    return scores(subject)


def check_contributions(subject: Subject) -> Measurement:
    """Compares contributions with slopes of the score."""
    from cnnexplain_plugins.intermediate_outputs.tail_checks import contributions

    return contributions(subject)


@hookimpl
def cnnexplain_analyses() -> list[Analysis]:
    """Declares intermediate-outputs."""
    reading = (
        "Follow the image from the input down. Each cell shows where a feature map responds: in early layers to edges and "
        "strokes, in deeper layers to larger, more specific parts. Bars stand for single units and, at the end, for the "
        "outputs. Below each map are its number and its contribution to the score of the target. Maps that raise it most "
        "come first, those that lower it last."
    )
    note = (
        "A contribution is activation × gradient, summed over the map: a first-order estimate of how much the score would "
        "drop without the map, exact only if the score is linear in the map. A crossed cell, or a gray mark under a bar, "
        "is dead: exactly zero everywhere for this image, though maybe not for others."
    )
    return [
        Analysis(
            "intermediate-outputs",
            run,
            draw,
            "Yosinski et al. 2015 (arXiv:1506.06579)",
            limitations=note,
            how_to_read=reading,
            # A forward pass and a backward pass for the gradients of all layers.
            passes=lambda *_: 2,
            finding=finding,
            panels=panels,
            checks=(
                Check(
                    "tail",
                    "The rest of the network, run on the recorded output of a layer, gives the scores of the image.",
                    check_scores,
                ),
                Check(
                    "contributions",
                    "The contribution of a feature map is the rate at which the score changes as the map is scaled, "
                    "measured by central differences through the rest of the network.",
                    check_contributions,
                ),
            ),
        )
    ]
