"""The gradcam analysis: which places of a layer's feature maps support the target, by four methods."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cnnexplain.plugin import Analysis, Option, Result, hookimpl

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from cnnexplain import Classifier, Floats, Objective, Record


def run(
    classifier: Classifier,
    images: Floats,
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

    With A the layer's feature maps and S_c the logit of the class, the map is ReLU(Σ_k w_k A_k). Grad-CAM (Selvaraju et al.
    2017) takes for w_k the mean of ∂S_c/∂A_k over its places; Grad-CAM++ (Chattopadhyay et al. 2018) the sum of its positive
    values, weighed by the closed form that follows if the score is exp(S_c) and the layers above are linear or ReLUs, and
    here without the factor exp(S_c) that is the same at all places; Layer-CAM (Jiang et al. 2021) the positive values
    themselves, place by place; Score-CAM (Wang et al. 2020, definitions 3 and 4) no gradient, but the probability of the
    class for the image times the map, scaled from 0 to 1, less that for an input of zeros.

    Tokens (T, C) of a transformer are taken as C feature maps on the grid of the patches that they stand for; a class token
    and others that stand for no place are left out of maps and means.

    Returns:
        Arrays `evidence` (N, h, w), signed, the sum before the ReLU at the layer's resolution; `cam` (N, h, w), after it;
        `map` (N, H, W), that map spread over the whole image, bilinear with pixel centers at half numbers. In logits; of
        Score-CAM in probability × activation. Facts: `layer`; `logit` (of the target, or the difference of two); `peak` (the
        maximum of `cam`) with `peak_place` (its row and column there) and `peak_pixel` (of the maximum of `map`), None where
        the map is zero everywhere; `positive` (the share of places above zero); `shift`, how many pixels at most a place
        is drawn off the middle of what its units see, None where that is not known.

    Raises:
        UsageError: There is no such layer, it has no feature maps or the target does not depend on it, or Score-CAM is to
            explain something else than a class.
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
    # Without padding the outer units look further inwards than they are drawn.
    draw.title(over, f"map over input, up to {shift:.0f} pixels off" if shift and shift > place / 2 else "map over input")
    draw.caption(figure, record, index)
    return figure


def overlay(record: Record, index: int) -> Floats:
    """The map at the layer's resolution, enlarged smoothly: the linear slopes of `map` would show as ridges and crosses."""
    from cnnexplain import draw

    return draw.enlarged(record.arrays["cam"][index], *record.images.shape[1:3])


def passes(classifier: Classifier, options: Mapping[str, Any]) -> float:
    """A forward pass and the gradient of the last layers, or a forward pass for each feature map."""
    if options["method"] != "scorecam":
        return 3
    from cnnexplain_plugins.gradcam.maps import explained_layer

    return explained_layer(classifier, options["layer"]).shape[-1] + 3


def finding(record: Record, index: int) -> str:
    """Where the map is the strongest."""
    from cnnexplain.draw import findings, formatting

    layer, target, found = record.facts["layer"][index], findings.target(record, index), record.arrays["map"][index]
    if not found.any():
        return f"At no place do the feature maps of the layer {layer} support {target}."
    return (
        f"The layer {layer} responds for {target} mostly at {findings.peak_place(found)}: the strongest tenth of the pixels "
        f"holds {formatting.percent(findings.concentration(found))} of the map."
    )


def _unit(options: Mapping[str, Any]) -> str:
    return "probability × activation" if options["method"] == "scorecam" else "logits"


NAMES = {"gradcam": "Grad-CAM", "gradcam++": "Grad-CAM++", "scorecam": "Score-CAM", "layercam": "Layer-CAM"}
"""The methods as their papers write them."""

NOTE = (
    "The map is as coarse as the layer and looks smooth only because it is enlarged. Evidence against the target is left "
    "out. Values are drawn at their position in the layer, although each unit sees a much larger part of the image."
)

READING = (
    "In bright regions, the layer's feature maps raise the score of the target. The signed panel shows the layer's own "
    "resolution: red regions raise the score, blue regions lower it. The map keeps only the red ones."
)


@hookimpl
def cnnexplain_analyses() -> list[Analysis]:
    """Offers the gradcam analysis."""
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
        )
    ]
