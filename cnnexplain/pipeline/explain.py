"""`cnnexplain.explain` and `cnnexplain.explain_parts`: the name of an analysis, a classifier, images, options → records."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from cnnexplain.inputs.image_stream import open_stream, stream_images
from cnnexplain.inputs.images import as_batch
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
    progress: Callable[[int, int], None] | None = None,
    **options: object,
) -> Record:
    """Runs an analysis.

    Args:
        analysis: Its name, as `cnnexplain list` shows it.
        classifier: The model to explain, from `cnnexplain.load`.
        images: What `cnnexplain.read_images` returns, a path or sample, several of them, or an array (N, H, W, C):
            pixels as uint8, or floating-point numbers in the model's input range. None for an analysis of the model alone;
            one that explains classes may be given some, whose predictions and runners-up are then its classes.
        target: The class to explain, by index or label, or an `Objective` such as `Logit(4) - Logit(9)`: one for all images
            or one for each; of the model alone, those to explain. None explains each image's prediction.
        against: A class whose logit is subtracted from the target's: why 4 and not 9?
        dataset: For an analysis that searches one: "mnist:test", "mnist:train", a folder, or images as above. None
            takes "mnist:test" for a model of digits, else the images.
        progress: Called with how much is done, and of how much. None shows it in notebooks, and nowhere else.
        **options: The analysis' own, as `cnnexplain run ANALYSIS --help` shows them, with underscores for hyphens.

    Returns:
        The record, its arrays raw and signed.

    Raises:
        UsageError: There is no such analysis, option, class, layer, image or data set.
        ImageError: An image can't be read, or an array can't be explained.
        ModelError: The model gives values that are not finite, or the analysis does not fit it.
        PluginError: The analysis broke its contract.
    """
    read = None if images is None else lambda: open_stream(as_batch(images, classifier), classifier)
    return parts.run_whole(request.from_arguments(analysis, classifier, read, target, against, dataset, progress, options))


def explain_parts(
    analysis: str,
    classifier: Classifier,
    images: object = None,
    *,
    target: Target | Sequence[Target] | None = None,
    against: Class | Sequence[Class] | None = None,
    dataset: object = None,
    start: int = 0,
    progress: Callable[[int, int], None] | None = None,
    **options: object,
) -> Iterator[Record]:
    """Runs an analysis on more images than fit into memory.

    The images are read as they are needed, and what is found comes in parts of up to 256 images, or fewer where their
    arrays are large. An image that is found in a folder or by a glob and can't be read is skipped.

    Args:
        analysis: As in `explain`.
        classifier: As in `explain`.
        images: As in `explain`, or a `Stream`.
        target: As in `explain`.
        against: As in `explain`.
        dataset: As in `explain`. What belongs to no single image is in the first part alone.
        start: The place of the first image to explain, where others were explained before.
        progress: As in `explain`.
        **options: As in `explain`.

    Yields:
        A record of each part; `span` is the range of the images that it covers.

    Raises:
        CnnExplainError: As `explain` does; `ImageError` also where not one of the images can be read.
    """
    read = None if images is None else lambda: stream_images(images, classifier)
    yield from parts.run_parts(
        request.from_arguments(analysis, classifier, read, target, against, dataset, progress, options), start
    )
