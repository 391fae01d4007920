"""`cnnexplain.benchmark`: compares explanation methods by metrics on a model and images."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from cnnexplain.errors import UsageError
from cnnexplain.evaluation import saving
from cnnexplain.evaluation.benchmark import prepare, run
from cnnexplain.evaluation.scoreboard import Scoreboard
from cnnexplain.model.classifier import Classifier
from cnnexplain.pipeline import targets


def benchmark(
    analyses: str | Sequence[str] | None,
    classifier: Classifier,
    images: object = None,
    *,
    metrics: str | Sequence[str] | None = None,
    target: targets.Class | Sequence[targets.Class] | None = None,
    masks: object = None,
    maps: Mapping[str, object] | None = None,
    seed: int = 0,
    out: str | os.PathLike[str] | None = None,
    resume: bool = False,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> Scoreboard:
    """Compares explanation methods by metrics.

    The maps of a method are ranked and summed with their signs. Four controls that explain no network are always compared as
    well: a random map, Sobel edges, a centered Gaussian, and the distance of the image to black.

    Args:
        analyses: The names of the analyses, each with options if they differ from the defaults, such as
            "gradcam:method=layercam". None for all analyses with a map of the image; those that fail are left out.
        classifier: The model, from `cnnexplain.load`.
        images: As for `cnnexplain.explain`. None for the first 100 test images of MNIST, for a digit classifier.
        metrics: The names of the metrics. "all" for all metrics that are defined; None for all but those that take most of
            the time, max-sensitivity and sMPRT; those for masks only with `masks`. The scores of one that fails for an image
            are NaN there; `Scoreboard.notes` says why.
        target: The class to explain, by index or label: one for all images, or one for each. None for the predictions.
        masks: The relevant pixels: an array (N, H, W) of booleans, or of 0 and 1; or the path of a folder with an image for
            each explained image, whose bright pixels are relevant.
        maps: Maps of other tools by name: an array (N, H, W) of raw, signed maps, or the path of a .npy or .npz file.
        seed: Seeds the metrics, the random control and the intervals; analyses have options of their own.
        out: The folder for the scores of each image, written as soon as they are known, all numbers as JSON, and an HTML
            page. None writes nothing.
        resume: Whether to continue with the scores that are already in `out`.
        progress: Called with the number of completed images, and of all images.

    Returns:
        The scores of all methods for all images.

    Raises:
        UsageError: There is no such analysis, metric, option, class or image, or maps or masks do not fit the images.
        ImageError: An image can't be read.
        ModelError: The model returns values that are not finite, or a named analysis does not support it.
        PluginError: A named analysis failed or broke its contract, or all metrics did.
        OutputError: The folder can't be written, contains other files with the same names, or damaged scores to resume.
    """
    if not isinstance(classifier, Classifier):
        raise UsageError(f"benchmark() takes what cnnexplain.load() returns, but got {type(classifier).__name__}.")
    setup = prepare(analyses, classifier, images, metrics, target, masks, maps, seed)
    board = setup.board()
    if out is not None:
        saving.run_saved(setup, Path(out), board, resume=resume, progress=progress)
        return board
    for outcome in run(setup):
        board.add(outcome)
        progress(outcome.place + 1, len(setup.stream))
    return board
