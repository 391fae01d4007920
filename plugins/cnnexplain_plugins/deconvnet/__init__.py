"""The deconvnet analysis: what in the image made a feature map respond."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from cnnexplain.errors import UsageError
from cnnexplain.plugin import Analysis, Option, Result, hookimpl

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from matplotlib.figure import Figure

    from cnnexplain import Classifier, Floats, Objective, Record, Stream


def run(
    classifier: Classifier,
    images: Floats,
    objectives: list[Objective],
    dataset: Stream | None,
    progress: Callable[[int, int], None],
    *,
    layer: Annotated[
        tuple[str, ...],
        Option(
            "A layer with feature maps. Default: in a deep or separable network the last of each stage, otherwise the "
            "convolutions, after their activations."
        ),
    ] = (),
    rule: Annotated[
        tuple[Literal["deconvnet", "guided", "gradient"], ...],
        Option(
            "What passes backward through a ReLU: the signal where it is positive; where also the ReLU is active; or the "
            "gradient. At other activations, 'guided' passes signal × slope where both are positive; 'deconvnet' is "
            "undefined. Default: 'deconvnet', in a deep or separable network also 'guided'."
        ),
    ] = (),
    maps: Annotated[
        str,
        Option(
            "The number of feature maps to show in each layer, those that contribute most to the target; or their "
            "numbers, separated by commas, such as 3,17,40 (for a single one: 17,)."
        ),
    ] = "6",
) -> Result:
    """What in the image activates the feature maps that matter for the target, and what activates them most in a data set.

    Zeiler & Fergus 2014, section 2.1: one activation is kept, the others of its layer are set to zero, and the signal is
    brought down to the pixels through unpooling with switches, a ReLU rule and the transposed filters, without biases. The
    signal starts as the activation's own value. Figure 2 there: for each feature map its nine strongest activations over a
    data set, one from each image.

    Of each layer those feature maps A_k are shown that contribute the most to the explained class, by the sum over the map
    of A_k · ∂S/∂A_k, and of each map its strongest unit. Where the layer's activation is clipped, as ReLU6 is, units are
    ranked by the value before the clip, and the signal starts below it, still as the activation's own value.

    Returns:
        For each layer L and rule R that is defined for it the array `projection/L/R` (N, maps, h, w, C), signed, cropped to
        the receptive field. Facts, by image: `value` of what is explained; `rules`, by layer what each rule does there;
        `strongest`, by layer a list with an entry for each map: `map`, its number; `contribution`, in logits; `activation`
        of its strongest unit, and `unclipped`, by which it is ranked; `row` and `column` of the unit in the map; `field`,
        the rows and the columns of the image that it sees, and `middle` of these, None where they are not known; `corner`,
        the row and the column of the image where the crop begins, negative where it reaches over the border. In the
        overview: `patch/L` (M, 9, h, w, C), what each of M feature maps sees at its strongest activations, in the model's
        input range, and `patch_projection/L/R` of that shape, signed; where an image doesn't reach, the middle of the input
        range and 0. With fewer than nine images, fewer patches. A field larger than half of the image is cut to the half
        around its middle. The fact `over_dataset` lists for each layer and map its `selectivity`, and for each of its
        patches the image, what `strongest` tells of the unit, and `inside`, by rule the share of the squared signal that
        lies inside the patch. Without a data set, or where it is the one image that is explained, there is no overview.

    Raises:
        UsageError: There is no such layer or feature map, or `maps` is neither a number nor numbers.
        ModelError: The model has no convolution, or the rule is defined for none of the layers.
    """
    from cnnexplain_plugins.deconvnet.projections import deconvnet

    return deconvnet(
        classifier,
        images,
        objectives,
        dataset,
        progress,
        layers=layer,
        rules=tuple(dict.fromkeys(rule)),
        maps=_numbers(maps),
    )


def _numbers(maps: str) -> int | list[int]:
    """The number of feature maps, or their indices."""
    try:
        found = [int(word) for word in maps.split(",") if word.strip()]
    except ValueError:
        found = []
    if not found or min(found) < 0 or ("," not in maps and not found[0]):
        raise UsageError(
            "--maps takes how many feature maps to show, such as 6, or their numbers, such as 3,17,40, one alone with a "
            f"comma behind, such as 17, but got '{maps}'."
        )
    return list(dict.fromkeys(found)) if "," in maps else found[0]


def draw(record: Record, index: int) -> Figure:
    """The image, and for each layer and rule a row with the projections of the feature maps that matter for the target."""
    from cnnexplain_plugins.deconvnet.pictures import projections

    return projections(record, index)


def overview(record: Record) -> Mapping[str, Figure]:
    """For each layer its feature maps, each with its nine strongest patches of the data set beside their projections.

    A data set of one image has no strongest ones.
    """
    from cnnexplain_plugins.deconvnet.pictures import patches

    return {
        f"strongest-patches-{layer}": patches(record, layer)
        for layer in record.facts.get("over_dataset", {})
        if record.arrays[f"patch/{layer}"].shape[1] > 1
    }


def finding(record: Record, index: int) -> str:
    """Which feature map of the last layer contributes the most, and where its strongest unit looks."""
    from cnnexplain.draw import findings, formatting

    layer, maps = list(record.facts["strongest"][index].items())[-1]
    best = maps[findings.most_telling([fact["contribution"] for fact in maps])]
    target = findings.target(record, index)
    if not any(fact["contribution"] for fact in maps):
        return f"In {layer}, none of the feature maps shown contributes to {target}."
    contribution, score = formatting.signed_number(best["contribution"]), formatting.number(record.facts["value"][index])
    where = ""
    if best["middle"] is not None:
        row, column = (round(each) for each in best["middle"])
        where = f"; its strongest unit looks around row {row}, column {column}"
    found = f"feature map {best['map']} contributes the most to {target}"
    if best["contribution"] <= 0:
        found = f"none of the feature maps shown raises the score of {target}; map {best['map']} lowers it the most"
    return f"In {layer}, {found} ({contribution}; score {score}){where}."


def passes(classifier: Classifier, options: Mapping[str, Any]) -> float:
    """Two for the choice of maps, and for each projection a gradient, of the part of the network below its layer."""
    from cnnexplain_plugins.deconvnet.projections import is_deep, shown_layers

    order = {each.name: place for place, each in enumerate(classifier.layers, start=1)}
    layers = shown_layers(classifier, options["layer"])
    rules = len(options["rule"]) or 1 + is_deep(classifier)
    wanted = _numbers(options["maps"])
    counts = [min(wanted, each.shape[-1]) if isinstance(wanted, int) else len(wanted) for each in layers]
    depths = [order.get(each.name, len(order)) / len(order) for each in layers]
    return 3 + 2 * rules * sum(count * depth for count, depth in zip(counts, depths, strict=True))


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
            "Deconvnet and guided backpropagation partly recover the image itself and depend only weakly on the target "
            "(Adebayo et al. 2018, Nie et al. 2018): a sharp projection does not prove that the network relies on what it "
            "shows.",
            "Each picture shows what in the image activates a feature map, projected back to the pixels. Each row is a "
            "layer under one of three rules for going backward through its activations. The feature maps are those that "
            "contribute most to the target.",
            trial={"maps": "1"},
            quick={"maps": "4"},
            passes=passes,
            finding=finding,
        )
    ]
