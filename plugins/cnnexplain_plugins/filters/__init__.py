"""The filters analysis: the kernels of a network's convolutions, and the image patches that they match best."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cnnexplain.plugin import Analysis, Check, Measurement, Option, Result, Subject, hookimpl

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
            "A convolution to show ('outer/inner' in a nested model), 'first' or 'all'. Default: all if there are at most "
            "six; otherwise the first one and the last of each stage."
        ),
    ] = (),
    kernels: Annotated[int, Option("The number of kernels to show individually, those with the largest norms.", min=1)] = 32,
) -> Result:
    """The kernels of the convolutions, which of them are dead or duplicates, and the image patches that they match best.

    A convolution compares its kernel w with every patch x of its input: the response Σ w · x + b is large if the patch
    resembles the kernel, so the kernel is a template (Zeiler & Fergus 2014, section 4.1, for the first layer). Kernels are
    shown as they act: for a separable convolution, the product of its two kernels; for a transposed one, from input to
    output channels; for a depthwise or grouped one, over the input channels that the kernel sees.

    A kernel is dead if its norm is 0 (up to a millionth of the layer's largest). With a data set, it is never active if its
    output after batch normalization and activation is 0 everywhere for all images. It is a duplicate if its cosine
    similarity to an earlier kernel of the layer, over the same channels, is above 0.99.

    Returns:
        For each layer shown the arrays `kernel/NAME` (h, w, I, O) of O kernels over I input channels, raw, and `norm/NAME`
        (O, I), the norm of each over its rows and columns. With a data set also `patch/NAME` (K, P, h, w, C): what the
        kernels in the fact `shown` see of the images with their P largest responses, one from each image, in the model's
        input range, averaged over blocks to at most 64 pixels per side, and filled with the middle of the range beyond the
        image. For a first layer that sees the image itself, `image/NAME` (K, H, W, C) and `response/NAME` (K, H', W'): the
        image with the largest response, and the responses to it. Responses are taken after batch normalization, before the
        activation. Facts: `layers`, for every convolution of the model `name`, `kind`, `kernel`, `kernels`, `channels`,
        `groups`, `norm` (smallest and largest), the numbers of `dead`, `duplicates` and `never_active` kernels (the last is
        None without a data set), and `of_image`, whether its input is the image itself; `dead`, `duplicates` (each with the
        kernel that it repeats) and `never_active`, the indices of these kernels for each layer that has any; `shown`, the
        kernels shown of each layer; `strongest`, the image, response, row and column of each of their patches; and `field`,
        the receptive fields of a layer's units: for rows and for columns start, step and size, so that unit i sees `size`
        pixels from start + i · step on, or, after resizing without regular steps, the first pixel and the one after the last
        for each unit.

    Raises:
        UsageError: The model has no such convolution.
        ModelError: The model has no convolution.
    """
    from cnnexplain_plugins.filters.filters import filters

    return filters(classifier, dataset, progress, layer, kernels)


def overview(record: Record) -> Mapping[str, Figure]:
    """The kernels of the convolutions, which of them are dead or duplicates, and the image patches that they match best."""
    from cnnexplain_plugins.filters.figures import figures

    return figures(record)


def check_norms(subject: Subject) -> Measurement:
    """Computes the norms of the kernels again."""
    from cnnexplain_plugins.filters.norm_check import measure

    return measure(subject)


@hookimpl
def cnnexplain_analyses() -> list[Analysis]:
    """Declares filters."""
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
            # Kernels are read, not computed. The pass is that of the gray image with which every model is checked.
            passes=lambda *_: 1,
            checks=(
                Check(
                    "norms",
                    "The norms are those of the kernels, and the kernels are the weights of the model.",
                    check_norms,
                ),
            ),
        )
    ]
