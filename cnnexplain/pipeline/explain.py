"""`cnnexplain.explain` and `cnnexplain.explain_parts`: run an analysis on images and return records."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from cnnexplain.inputs.image_stream import stream_batch, stream_images
from cnnexplain.model.classifier import Classifier
from cnnexplain.pipeline import parts, request
from cnnexplain.pipeline.targets import Class, Target
from cnnexplain.results.record import Record


def explain(
    analysis: str,
    classifier: Classifier,
    images: object = None,
    *,
    target: Target | Sequence[Target] | None = None,
    against: Class | Sequence[Class] | None = None,
    dataset: object = None,
    control: bool = False,
    progress: Callable[[int, int], None] | None = None,
    **options: object,
) -> Record:
    """Runs an analysis.

    Args:
        analysis: The name of the analysis, as shown by `cnnexplain list`.
        classifier: The model to explain, from `cnnexplain.load`.
        images: What `cnnexplain.read_images` returns, a path or sample, several of them, or an array (N, H, W, C):
            pixels as uint8, or floating-point numbers in the model's input range. None for an analysis of the model itself;
            if such an analysis explains classes, it explains the predictions and runners-up of the images given here.
        target: The class to explain, by index or label, or an `Objective` such as `Logit(4) - Logit(9)`: one for all images
            or one for each; for an analysis of the model itself, all that it explains. None explains the predictions.
        against: A class whose logit is subtracted from the target's: why a 4 rather than a 9?
        dataset: For an analysis that searches a data set: "mnist:test", "mnist:train", a folder, or images as above. None
            uses "mnist:test" for a digit classifier, otherwise the images.
        control: Whether to explain the same targets of the same network with shuffled weights as well (`Record.control`),
            and draw that map beside the real one. The model is not changed. For analyses with a map of the image.
        progress: Called with the amount of work done, and the total. None shows a progress bar in notebooks only.
        **options: Options of the analysis, as shown by `cnnexplain run ANALYSIS --help`, with underscores for hyphens.

    Returns:
        The record, with raw and signed arrays.

    Raises:
        UsageError: There is no such analysis, option, class, layer, image or data set, or no control for the analysis.
        ImageError: An image can't be read, or an array can't be explained.
        ModelError: The model returns values that are not finite, or the analysis does not support it; or it can't be copied
            for the control.
        PluginError: The analysis failed or broke its contract.
    """
    read = None if images is None else lambda: stream_batch(images, classifier)
    return parts.run_whole(
        request.from_arguments(analysis, classifier, read, target, against, dataset, progress, options, control=control)
    )


def explain_parts(
    analysis: str,
    classifier: Classifier,
    images: object = None,
    *,
    target: Target | Sequence[Target] | None = None,
    against: Class | Sequence[Class] | None = None,
    dataset: object = None,
    control: bool = False,
    start: int = 0,
    progress: Callable[[int, int], None] | None = None,
    **options: object,
) -> Iterator[Record]:
    """Runs an analysis on more images than fit into memory.

    The images are read when they are needed. Each part has up to 256 images, or fewer if their arrays are large. Images from
    a folder or a glob that can't be read are skipped.

    Args:
        analysis: As in `explain`.
        classifier: As in `explain`.
        images: As in `explain`, or a `Stream`.
        target: As in `explain`.
        against: As in `explain`.
        dataset: As in `explain`. Results that belong to no single image are in the first part only.
        control: As in `explain`.
        start: Index of the first image to explain.
        progress: As in `explain`.
        **options: As in `explain`.

    Yields:
        A record for each part; its `span` is the range of image indices that it covers.

    Raises:
        CnnExplainError: As for `explain`; `ImageError` also if none of the images can be read.
    """
    read = None if images is None else lambda: stream_images(images, classifier)
    yield from parts.run_parts(
        request.from_arguments(analysis, classifier, read, target, against, dataset, progress, options, control=control),
        start,
    )
