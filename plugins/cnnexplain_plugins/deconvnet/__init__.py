"""The deconvnet analysis: what in the image made a feature map respond."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from cnnexplain.errors import UsageError
from cnnexplain.plugin import Analysis, Check, Measurement, Option, Result, Subject, hookimpl

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np
    from jaxtyping import Float32
    from matplotlib.figure import Figure

    from cnnexplain import Classifier, Objective, Record, Stream


def run(
    classifier: Classifier,
    images: Float32[np.ndarray, "N H W C"],
    objectives: list[Objective],
    dataset: Stream | None,
    progress: Callable[[int, int], None],
    *,
    layer: Annotated[
        tuple[str, ...],
        Option(
            "A layer with feature maps. Default: the convolutions, after their activations; in a deep or separable "
            "network, the last layer of each stage."
        ),
    ] = (),
    rule: Annotated[
        tuple[Literal["deconvnet", "guided", "gradient"], ...],
        Option(
            "How a signal passes backward through a ReLU: 'deconvnet' where the signal is positive; 'guided' where the ReLU "
            "is active as well; 'gradient' where the ReLU is active. At other activations, 'guided' passes signal × slope "
            "where both are positive, and 'deconvnet' is undefined. Default: 'deconvnet', in a deep or separable network "
            "also 'guided'."
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
    passed back to the pixels through unpooling with switches, a ReLU rule and the transposed filters, without biases. The
    signal starts as the value of the activation. Figure 2 there: the nine strongest activations of each feature map over a
    data set, one from each image.

    In each layer, the feature maps A_k that contribute most to the score S are shown, measured by the sum over the map of
    A_k · ∂S/∂A_k; of each map, its strongest unit. If the activation function of the layer clips, as ReLU6 does, units are
    ranked by the value before the clip. The signal then starts before the clip, still as the value of the activation.

    Returns:
        For each layer L and each rule R that is defined for it, the array `projection/L/R` (N, maps, h, w, C), signed,
        cropped to the receptive field. Facts by image: `value`, the score explained; `rules`, by layer what each rule does
        there; `strongest`, by layer a list with an entry for each map: `map`, its number; `contribution`, in logits;
        `activation` of its strongest unit, and `unclipped`, the value by which it is ranked; `row` and `column` of the unit
        in the map; `field`, the rows and columns of the image that it sees, and `middle` of these, both None if unknown;
        `corner`, the row and the column of the image where the crop begins, negative if it extends beyond the border. In
        the overview: `patch/L` (M, 9, h, w, C), what each of M feature maps sees at its strongest activations, in the
        model's input range, and `patch_projection/L/R` of the same shape, signed; beyond the image they are filled with the
        middle of the input range and 0. With fewer than nine images there are fewer patches. A field larger than half of
        the image is cut to the half around its middle. The fact `over_dataset` lists for each layer and map its
        `selectivity`, and for each of its patches the image, the facts of the unit as in `strongest`, and `inside`: by rule,
        the share of the squared signal that lies inside the patch. There is no overview without a data set, or if the data
        set is the one image that is explained.

    Raises:
        UsageError: There is no such layer or feature map, or `maps` is neither a number nor a list of numbers.
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
        maps=_parse_maps(maps),
    )


def _parse_maps(text: str) -> int | list[int]:
    """How many feature maps to show, or the numbers of those to show."""
    try:
        numbers = [int(word) for word in text.split(",") if word.strip()]
    except ValueError:
        numbers = []
    if not numbers or min(numbers) < 0 or ("," not in text and not numbers[0]):
        raise UsageError(
            "--maps takes how many feature maps to show, such as 6, or their numbers, such as 3,17,40 (a single one with a "
            f"comma after it: 17,), but got '{text}'."
        )
    return list(dict.fromkeys(numbers)) if "," in text else numbers[0]


def draw(record: Record, index: int) -> Figure:
    """The image, and for each layer and rule a row with the projections of the feature maps that matter for the target."""
    from cnnexplain_plugins.deconvnet.projection_figure import projections

    return projections(record, index)


def overview(record: Record) -> Mapping[str, Figure]:
    """For each layer its feature maps, each with its nine strongest patches of the data set next to their projections.

    There is no figure for a data set of one image.
    """
    from cnnexplain_plugins.deconvnet.patch_figure import patches

    return {
        f"strongest-patches-{layer}": patches(record, layer)
        for layer in record.facts.get("over_dataset", {})
        if record.arrays[f"patch/{layer}"].shape[1] > 1
    }


def finding(record: Record, index: int) -> str:
    """Which feature map of the last layer contributes most, and where the receptive field of its strongest unit lies."""
    from cnnexplain.draw import findings, formatting

    layer, maps = list(record.facts["strongest"][index].items())[-1]
    best = maps[findings.most_telling([fact["contribution"] for fact in maps])]
    target = findings.target(record, index)
    if not any(fact["contribution"] for fact in maps):
        return f"In {layer}, none of the feature maps shown contributes to {target}."
    contribution, score = formatting.signed_number(best["contribution"]), formatting.number(record.facts["value"][index])
    place = ""
    if best["middle"] is not None:
        row, column = (round(each) for each in best["middle"])
        place = f"; its strongest unit looks around row {row}, column {column}"
    effect = f"feature map {best['map']} contributes the most to {target}"
    if best["contribution"] <= 0:
        effect = f"none of the feature maps shown raises the score of {target}; map {best['map']} lowers it the most"
    return f"In {layer}, {effect} ({contribution}; score {score}){place}."


def passes(classifier: Classifier, options: Mapping[str, Any]) -> float:
    """Three to select the maps, and for each projection a gradient of the part of the network below its layer."""
    from cnnexplain_plugins.deconvnet.layers import is_deep, select_layers

    order = {each.name: place for place, each in enumerate(classifier.layers, start=1)}
    layers = select_layers(classifier, options["layer"])
    rules = len(options["rule"]) or 1 + is_deep(classifier)
    maps = _parse_maps(options["maps"])
    counts = [min(maps, each.shape[-1]) if isinstance(maps, int) else len(maps) for each in layers]
    depths = [order.get(each.name, len(order)) / len(order) for each in layers]
    return 3 + 2 * rules * sum(count * depth for count, depth in zip(counts, depths, strict=True))


def check_rule(subject: Subject) -> Measurement:
    """Compares projections with the gradients of their units."""
    from cnnexplain_plugins.deconvnet.rule_check import measure

    return measure(subject)


def check_transposed(subject: Subject) -> Measurement:
    """Compares projections with those of the paper, computed in NumPy."""
    from cnnexplain_plugins.deconvnet.transposed_check import measure

    return measure(subject)


@hookimpl
def cnnexplain_analyses() -> list[Analysis]:
    """Declares the deconvnet."""
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
            checks=(
                Check(
                    "gradient rule",
                    "With the rule 'gradient', the projection of a unit is its activation times the gradient of the unit.",
                    check_rule,
                ),
                Check(
                    "transposed filters",
                    "With the rules 'deconvnet' and 'guided', the projection of a unit is its activation, passed back by "
                    "switches, the rule at each ReLU and transposed filters, without gradients, as in the paper.",
                    check_transposed,
                ),
            ),
        )
    ]
