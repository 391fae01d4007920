"""The deconvnet analysis: what in the image made a feature map respond."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from cnnexplain.plugin import Analysis, Option, Result, hookimpl

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from matplotlib.figure import Figure

    from cnnexplain.arrays import Floats
    from cnnexplain.classifier import Classifier
    from cnnexplain.record import Record
    from cnnexplain.stream import Stream


def run(
    classifier: Classifier,
    images: Floats,
    dataset: Stream | None,
    progress: Callable[[int, int], None],
    *,
    layer: Annotated[
        tuple[str, ...],
        Option("A layer with feature maps. Default: the convolutional layers after their ReLUs, five of them at most."),
    ] = (),
    rule: Annotated[
        tuple[Literal["deconvnet", "guided", "gradient"], ...],
        Option(
            "What passes a ReLU on the way down: the signal's positive part, the gradient's positive part, or the gradient."
        ),
    ] = ("deconvnet",),
    maps: Annotated[
        int, Option("How many of each layer's feature maps to show for an image, the strongest first.", min=1)
    ] = 6,
) -> Result:
    """What in the image made each of the strongest feature maps respond, and what it responds to most in a data set.

    Zeiler & Fergus 2014, section 2.1: one activation is kept, the others of its layer are set to zero, and the signal is
    brought down to the pixels through unpooling with switches, a ReLU rule and the transposed filters, without biases. The
    signal starts as the activation's own value. Figure 2 there: for each feature map its nine strongest activations over a
    data set, one from each image.

    Returns:
        For each layer L and rule R the array `projection/L/R` (N, maps, H, W, C), signed. The fact `strongest` lists for
        each image and layer the feature maps with value, row and column of their largest activation, and its `field`, the
        rows and the columns of the image that it sees, None where they are not known. In the overview:
        `patch/L` (M, 9, h, w, C), what each of M feature maps sees at its strongest activations, in the model's input
        range, and `patch_projection/L/R` of that shape, signed; where an image doesn't reach, the middle of the input
        range and 0. With fewer than nine images, fewer patches. The fact `over_dataset` lists images, values and places.
        Without a data set there is no overview.
    """
    from cnnexplain_deconvnet.projections import deconvnet

    return deconvnet(classifier, images, dataset, progress, layers=layer, rules=tuple(dict.fromkeys(rule)), maps=maps)


def draw(record: Record, index: int) -> Figure:
    """The image, and for each layer and rule a row with the projections of its strongest feature maps."""
    from cnnexplain_deconvnet.pictures import projections

    return projections(record, index)


def overview(record: Record) -> Mapping[str, Figure]:
    """For each layer its feature maps, each with its nine strongest patches of the data set beside their projections.

    A data set of one image has no strongest ones, and the picture of the image shows what there is.
    """
    from cnnexplain_deconvnet.pictures import patches

    return {
        f"strongest-patches-{layer}": patches(record, layer)
        for layer in record.facts["over_dataset"]
        if record.arrays[f"patch/{layer}"].shape[1] > 1
    }


@hookimpl
def cnnexplain_analyses() -> list[Analysis]:
    """Offers the deconvnet analysis."""
    return [
        Analysis(
            "deconvnet",
            run,
            draw,
            "Zeiler, Fergus 2014 (arXiv:1311.2901)",
            overview,
            "Deconvnet and guided back-propagation partly recover the image itself and are only weakly class-specific "
            "(Adebayo et al. 2018, Nie et al. 2018): a sharp projection is no proof of what the network decides by.",
            "Each picture is what in the image made that feature map respond, projected back to the pixels; each row is a "
            "layer under one of three rules for going back through its ReLUs.",
            trial={"maps": 1},
        )
    ]
