"""Loads the model and opens the images of a command, once for all analyses that it runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cnnexplain.cli import console, session
from cnnexplain.inputs import datasets

if TYPE_CHECKING:
    from rich.progress import Progress

    from cnnexplain.cli.run_options import RunArguments
    from cnnexplain.inputs.image_stream import Stream
    from cnnexplain.model.classifier import Classifier
    from cnnexplain.plugin.analysis import Analysis


@dataclass(frozen=True)
class Inputs:
    """The model, the images (None if no analysis takes any), the classes and the data set of a command."""

    classifier: Classifier
    images: Stream | None
    target: int | None
    against: int | None
    dataset: Stream | None
    control: Classifier | None
    """The model with shuffled weights; None if it was not requested, or no analysis has a map."""


def load_inputs(analyses: Sequence[Analysis], arguments: RunArguments, display: Progress) -> Inputs:
    """Loads the model and opens the images, after checking that all files exist."""
    from cnnexplain.inputs import image_stream, images

    names = arguments.images or [datasets.SAMPLE]
    explains = any("images" in analysis.inputs for analysis in analyses)
    if explains and not arguments.images:
        console.say(f"No image given: explaining the sample digit {datasets.SAMPLE}.")
    if explains or arguments.images:
        images.find(names)
    if arguments.dataset is not None:
        image_stream.check(arguments.dataset)
    classifier = session.load(arguments.model, display)
    # An unknown class is reported before any image is read.
    target = None if arguments.target is None else classifier.target(arguments.target)
    against = None if arguments.against is None else classifier.target(arguments.against)
    stream = None
    if explains or arguments.images:
        stream = image_stream.stream_images(names, classifier, invert=arguments.invert)
        stream.check(console.bar(display, "Reading"))
    dataset = None
    if arguments.dataset is not None:
        dataset = image_stream.open_stream(arguments.dataset, classifier, invert=arguments.invert)
    control = None
    if arguments.control and any(analysis.maps for analysis in analyses):
        from cnnexplain.checks import shuffled

        control = shuffled(classifier)
    return Inputs(classifier, stream, target, against, dataset, control)
