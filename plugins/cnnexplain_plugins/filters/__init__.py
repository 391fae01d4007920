"""The filters analysis: the kernels of a network's convolutions, and what they match best."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cnnexplain.plugin import Analysis, Option, Result, hookimpl

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from matplotlib.figure import Figure

    from cnnexplain import Classifier, Record, Stream


def run(
    classifier: Classifier,
    dataset: Stream | None,
    progress: Callable[[int, int], None],
    *,
    layer: Annotated[
        tuple[str, ...],
        Option(
            "A convolution to show ('outer/inner' in a nested model), 'first' or 'all'. Default: all if there are up to "
            "six; otherwise the first one and the last of each stage."
        ),
    ] = (),
    kernels: Annotated[int, Option("The number of kernels to show individually, those with the largest norms.", min=1)] = 32,
) -> Result:
    """The kernels of the convolutions, which of them are dead or duplicates, and the image patches that they match best.

    A convolution holds its kernel w against every patch x of its input: the response Σ w · x + b is large where the patch is
    like the kernel, which thus is a template (Zeiler & Fergus 2014, section 4.1, for the first layer). Kernels are taken as
    they act: of a separable convolution the product of its two, of a transposed one from input to output channels, and of a
    depthwise or grouped one over the input channels that the kernel sees.

    A kernel is dead where its norm is 0 (up to a millionth of the layer's largest). With a data set, it is never active
    where what comes of it after batch normalization and activation is 0 everywhere for all images. It is a duplicate where
    an earlier one of the layer sees the same channels with a cosine similarity above 0.99.

    Returns:
        For each layer shown the arrays `kernel/NAME` (h, w, I, O) of O kernels over I input channels, raw, and `norm/NAME`
        (O, I), the norm of each over its rows and columns. With a data set also `patch/NAME` (K, P, h, w, C): what the
        kernels in the fact `shown` see of the images with their P largest responses, one from each image, in the model's
        input range, averaged over blocks to 64 pixels a side at most; where an image doesn't reach, the middle of the range.
        Of the first layer, where it sees the image itself, `image/NAME` (K, H, W, C) and `response/NAME` (K, H', W'), the
        image with the largest response and the responses to it. Responses are those after batch normalization, before the
        activation. Facts: `layers`, for every convolution of the model `name`, `kind`, `kernel`, `kernels`, `channels`,
        `groups`, `norm` (least and largest), `dead`, `duplicates` and `never_active`, their numbers (None without a data
        set), and `of_image`, whether they stand over the image itself; for each layer that has any `dead`, `duplicates`
        (each with the kernel that it repeats) and `never_active`, which; `shown`, the kernels shown of each layer;
        `strongest`, for those with patches image, response, row and column; and `field`, what a layer's units see of the
        image: of rows and of columns start, step and size, unit i seeing `size` pixels from start + i · step on, or, past
        resizings without regular steps, for each unit the first pixel and the one after the last.

    Raises:
        UsageError: The model has no such convolution.
        ModelError: The model has no convolution.
    """
    from cnnexplain_plugins.filters.filters import filters

    return filters(classifier, dataset, progress, layer, kernels)


def overview(record: Record) -> Mapping[str, Figure]:
    """The kernels of the convolutions, which of them are dead or duplicates, and the image patches that they match best."""
    from cnnexplain_plugins.filters.pictures import figures

    return figures(record)


@hookimpl
def cnnexplain_analyses() -> list[Analysis]:
    """Offers the filters analysis."""
    return [
        Analysis(
            "filters",
            run,
            None,
            "Zeiler, Fergus 2014 (arXiv:1311.2901); Krizhevsky, Sutskever, Hinton 2012 (NeurIPS 25)",
            overview,
            "A kernel is a template of its layer's input: in the first layer it can be read as a picture, in deeper "
            "layers only through the patches that it matches. Its response also grows with the contrast of a patch.",
            "A kernel of the first layer responds to patches that are bright where it is red and dark where it is blue; "
            "white is zero (a color kernel has the colors to which it responds, and gray is zero). For deeper layers the "
            "heat map has a row for each kernel and a column for each input channel; dark ones matter little.",
            quick={"layer": ("first",)},
            # The kernels are read, not computed; that of the gray image on which every model is tried.
            passes=lambda *_: 1,
        )
    ]
