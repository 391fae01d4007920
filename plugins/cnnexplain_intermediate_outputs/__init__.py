"""The intermediate-outputs analysis: what every layer puts out for an image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from cnnexplain.plugin import Analysis, Option, Result, hookimpl

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from cnnexplain.arrays import Floats
    from cnnexplain.classifier import Classifier
    from cnnexplain.record import Record


def run(
    classifier: Classifier,
    images: Floats,
    *,
    layer: Annotated[
        tuple[str, ...],
        Option("A layer to show, in a nested model 'outer/inner'. Default: all of them, twenty at most."),
    ] = (),
    scale: Annotated[  # noqa: ARG001  # Read by draw, from the record's options.
        Literal["shared", "channel"],
        Option("Colours of feature maps: 'shared' by all of a layer, or each 'channel' by its own largest magnitude."),
    ] = "shared",
) -> Result:
    """What every layer puts out for an image: feature maps, dense units and class probabilities.

    Yosinski et al. 2015, section 2: the live activations of every layer, all from one forward pass in inference mode.
    `scale` decides how they are drawn and nothing else.

    Returns:
        Arrays `output/NAME` (N, *shape of the layer) for each layer, raw and signed, and `probabilities` (N, K), the softmax
        of the logits; fact `layers`, for each image its layers in the order drawn, each with `name`, `kind`, `shape`, `unit`
        ("activation", "logit" or "probability"), `min`, `max`, and `dead` and `dead_channels`: how many and which channels
        or units are exactly zero everywhere.

    Raises:
        UsageError: The model has no such layer.
    """
    from cnnexplain_intermediate_outputs.outputs import outputs

    return outputs(classifier, images, layer)


def draw(record: Record, index: int) -> Figure:
    """The input, then a strip for each layer: a grid of its feature maps, or a bar for each of its units."""
    from cnnexplain_intermediate_outputs import strips

    return strips.draw(record, index)


@hookimpl
def cnnexplain_analyses() -> list[Analysis]:
    """Offers the intermediate-outputs analysis."""
    reading = (
        "Follow the image from the input down: each cell shows where a feature map responds, in the first layers to edges "
        "and strokes, deeper to larger, more specific parts, until bars stand for single units and, last, for the classes."
    )
    note = (
        "Cell k of a grid is channel k, counted from 0 along the rows. A crossed cell, or a grey mark under a bar, is dead: "
        "exactly zero everywhere for this image; another image may wake it. How strong a channel is does not tell how much "
        "it matters for the prediction."
    )
    return [
        Analysis("intermediate-outputs", run, draw, "Yosinski et al. 2015 (arXiv:1506.06579)", note=note, reading=reading)
    ]
