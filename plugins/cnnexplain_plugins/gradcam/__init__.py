"""The gradcam analysis: which regions of the image support the target, by four methods of class activation mapping."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cnnexplain.plugin import Analysis, Check, Measurement, Option, Result, Subject, hookimpl

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float32
    from matplotlib.figure import Figure

    from cnnexplain import Classifier, Objective, Record


def run(
    classifier: Classifier,
    images: Float32[np.ndarray, "N H W C"],
    objectives: list[Objective],
    progress: Callable[[int, int], None],
    *,
    method: Annotated[
        Literal["gradcam", "gradcam++", "scorecam", "layercam"],
        Option(
            "How the feature maps are weighted: by their mean gradient; by their positive gradients, more for small maps; "
            "by the model's output for the target if only the map's regions are visible; or position by position."
        ),
    ] = "gradcam",
    layer: Annotated[
        str | None,
        Option(
            "The layer whose feature maps (or tokens with positions) are weighted. Default: the last one with feature "
            "maps, after its ReLU and before pooling; for tokens, the last from which more than a class token reaches the "
            "scores."
        ),
    ] = None,
) -> Result:
    """Image regions that support the target, at the resolution of a convolutional layer.

    With A the layer's feature maps and S_c the logit of the class, the map is ReLU(Σ_k w_k A_k). In Grad-CAM (Selvaraju et
    al. 2017), w_k is the mean of ∂S_c/∂A_k over positions. In Grad-CAM++ (Chattopadhyay et al. 2018), it is the sum of the
    positive values of ∂S_c/∂A_k, weighted by a closed form that holds if the score is exp(S_c) and the layers above are
    linear or ReLUs; the factor exp(S_c), which is the same at all positions, is left out. In Layer-CAM (Jiang et al. 2021),
    the weights are the positive values themselves, position by position. In Score-CAM (Wang et al. 2020, definitions 3 and
    4), the weight is the probability of the class for the image times the map, scaled from 0 to 1, minus the probability for
    an input of zeros.

    Tokens (T, C) of a transformer are treated as C feature maps on the grid of the patches that they represent; a class
    token and other tokens without a position are left out of maps and means.

    Returns:
        Arrays `evidence` (N, h, w), signed, the sum before the ReLU at the layer's resolution; `cam` (N, h, w), after it;
        `map` (N, H, W), the cam enlarged to the image, bilinear with half-pixel centers. The unit is logits; for Score-CAM
        probability × activation. Facts: `layer`; `logit` (of the target, or the difference of two); `peak` (the maximum of
        `cam`) with `peak_place` (its row and column in `cam`) and `peak_pixel` (the maximum of `map`), None if the map is
        zero everywhere; `positive` (the share of positions above zero); `shift`, the maximum distance in pixels between the
        position where a unit is drawn and the middle of its receptive field, None if unknown.

    Raises:
        UsageError: There is no such layer, it has no feature maps, the target does not depend on it, or Score-CAM is used
            with a target that is not a class.
        ModelError: The model has no feature maps.
    """
    from cnnexplain_plugins.gradcam.maps import gradcam

    return gradcam(classifier, images, objectives, progress, method=method, layer=layer)


def draw(record: Record, index: int) -> Figure:
    """The image, the signed evidence at the layer's resolution, the map enlarged smoothly, and the map over the image."""
    from cnnexplain import draw
    from cnnexplain.draw import wording

    facts = {name: fact[index] for name, fact in record.facts.items()}
    evidence, smooth = record.arrays["evidence"][index], overlay(record, index)
    unit = wording.in_units(record, _unit(record.options))
    figure, (image, coarse, fine, over) = draw.row(4, record, bars=[1, 2])
    draw.input_image(image, record, index)
    draw.title(image, "input")
    draw.signed_map(coarse, evidence, unit)
    height, width = evidence.shape
    draw.title(coarse, f"evidence in {draw.shorten(facts['layer'], 20, tail=True)}, {height}×{width}")
    draw.unsigned_map(fine, smooth, unit)
    draw.title(fine, f"{NAMES[record.options['method']]} map" + ("" if facts["peak"] else ": zero everywhere"))
    draw.overlay(over, record, index, smooth)
    shift, place = facts["shift"], max(smooth.shape[0] / height, smooth.shape[1] / width)
    # Without padding, the receptive fields of the outer units lie further inwards than the units are drawn.
    draw.title(over, f"map over input, up to {shift:.0f} pixels off" if shift and shift > place / 2 else "map over input")
    draw.caption(figure, record, index)
    return figure


def overlay(record: Record, index: int) -> Float32[np.ndarray, "H W"]:
    """The map at the layer's resolution, enlarged smoothly; the linear interpolation of `map` has visible ridges."""
    from cnnexplain import draw

    return draw.enlarged(record.arrays["cam"][index], *record.images.shape[1:3])


def passes(classifier: Classifier, options: Mapping[str, Any]) -> float:
    """A forward pass and the gradient of the last layers; for Score-CAM, a forward pass for each feature map."""
    if options["method"] != "scorecam":
        return 2
    from cnnexplain_plugins.gradcam.maps import explained_layer

    return explained_layer(classifier, options["layer"]).shape[-1] + 3


def finding(record: Record, index: int) -> str:
    """Where the map is strongest, and how concentrated it is."""
    from cnnexplain.draw import findings, formatting

    layer, target, values = record.facts["layer"][index], findings.target(record, index), record.arrays["map"][index]
    if not values.any():
        return f"The feature maps of the layer {layer} do not support {target} at any position."
    return (
        f"The layer {layer} supports {target} most at {findings.peak_place(values)}; the strongest tenth of the pixels "
        f"holds {formatting.percent(findings.concentration(values))} of the map."
    )


def _unit(options: Mapping[str, Any]) -> str:
    return "probability × activation" if options["method"] == "scorecam" else "logits"


NAMES = {"gradcam": "Grad-CAM", "gradcam++": "Grad-CAM++", "scorecam": "Score-CAM", "layercam": "Layer-CAM"}
"""The names of the methods in their papers."""

NOTE = (
    "The map is as coarse as the layer and looks smooth only because it is enlarged. Evidence against the target is left "
    "out. Values are drawn at their position in the layer, although each unit sees a much larger part of the image."
)

READING = (
    "In bright regions, the layer's feature maps raise the score of the target. The signed panel shows the layer's own "
    "resolution: red regions raise the score, blue regions lower it. The map keeps only the red ones."
)


def check_evidence(subject: Subject) -> Measurement:
    """Compares the evidence with differences of scores."""
    from cnnexplain_plugins.gradcam.evidence_check import evidence

    return evidence(subject)


def check_maps(subject: Subject) -> Measurement:
    """Compares the maps with the evidence."""
    from cnnexplain_plugins.gradcam.evidence_check import maps

    return maps(subject)


@hookimpl
def cnnexplain_analyses() -> list[Analysis]:
    """Declares gradcam."""
    return [
        Analysis(
            "gradcam",
            run,
            draw,
            "Selvaraju et al. 2017 (arXiv:1610.02391); Chattopadhyay et al. 2018 (arXiv:1710.11063); Wang et al. 2020 "
            "(arXiv:1910.01279); Jiang et al. 2021 (doi:10.1109/TIP.2021.3089943)",
            limitations=NOTE,
            how_to_read=READING,
            maps={"map": _unit},
            overlay=overlay,
            passes=passes,
            finding=finding,
            checks=(
                Check(
                    "evidence",
                    "The evidence follows the definition, with weights from differences of scores for changed feature maps "
                    "or masked images, or from a gradient that such differences confirm.",
                    check_evidence,
                ),
                Check(
                    "map",
                    "The map is the positive evidence, enlarged by interpolation along lines between the centers of the "
                    "positions.",
                    check_maps,
                ),
            ),
        )
    ]
