"""A request: the inputs of an analysis, checked and resolved before anything is computed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cnnexplain.checks.shuffling import shuffled
from cnnexplain.errors import UsageError, shown
from cnnexplain.inputs.image_stream import Stream, open_stream
from cnnexplain.model.classifier import Classifier
from cnnexplain.pipeline import targets
from cnnexplain.pipeline.targets import Class, Resolved, Target
from cnnexplain.plugin import registry
from cnnexplain.plugin.analysis import Analysis
from cnnexplain.plugin.options import validate
from cnnexplain.plugin.registry import Plugin
from cnnexplain.rendering import notebook


@dataclass(frozen=True)
class Request:
    """An analysis and its inputs.

    Args:
        analysis: The analysis.
        plugin: The plugin that supplies it.
        options: All of its options, with their checked values.
        classifier: The model.
        model: Identifies the model, JSON-able; a model in memory is hashed for it.
        images: The images to explain; None for an analysis of the model itself.
        predicted: The images whose predictions an analysis of the model itself explains; None if there are none.
        targets: One for each image, or all targets of an analysis of the model itself; None for the predictions.
        against: The class whose logit is subtracted, for each target; None if nothing is subtracted.
        dataset: The data set that the analysis searches; None if it searches none.
        progress: Called with the amount of work done, and the total.
        control: The model with shuffled weights, for which the analysis is computed as well; None for no control.
    """

    analysis: Analysis
    plugin: Plugin
    options: Mapping[str, Any]
    classifier: Classifier
    model: Mapping[str, Any]
    images: Stream | None
    predicted: Stream | None
    targets: Sequence[Resolved] | None
    against: Sequence[int] | None
    dataset: Stream | None
    progress: Callable[[int, int], None]
    control: Classifier | None = None


def from_arguments(
    analysis: str,
    classifier: Classifier,
    open_images: Callable[[], Stream] | None,
    target: Target | Sequence[Target] | None,
    against: Class | Sequence[Class] | None,
    dataset: object,
    progress: Callable[[int, int], None] | None,
    options: Mapping[str, object],
    *,
    control: bool,
) -> Request:
    """Builds a request from the arguments of `cnnexplain.explain`; the images are opened last, because that takes longest.

    Raises:
        UsageError: There is no such analysis, option, class, image or data set, or no control for the analysis.
        ImageError: An image can't be read.
        ModelError: The model can't be copied for the control.
    """
    if not isinstance(analysis, str) or not isinstance(classifier, Classifier):
        raise UsageError(
            f"explain() takes the name of an analysis and what cnnexplain.load() returns, but got "
            f"{type(analysis).__name__} and {type(classifier).__name__}."
        )
    declared, plugin = registry.load().get(analysis)
    values = validate(declared.options, options)
    check_inputs(declared, open_images, target, against, dataset)
    if control:
        declared.check_control()
    resolved, resolved_against = targets.resolve(target, classifier), targets.resolve(against, classifier)
    images = None if open_images is None else open_images()
    network = shuffled(classifier) if control else None
    return assemble(declared, plugin, values, classifier, images, resolved, resolved_against, dataset, progress, network)


def assemble(
    analysis: Analysis,
    plugin: Plugin,
    options: Mapping[str, Any],
    classifier: Classifier,
    images: Stream | None,
    target: Resolved | list[Resolved] | None,
    against: Resolved | list[Resolved] | None,
    dataset: object,
    progress: Callable[[int, int], None] | None,
    control: Classifier | None = None,
) -> Request:
    """Builds a request from inputs that `check_inputs` has checked.

    Args:
        analysis: The analysis.
        plugin: The plugin that supplies it.
        options: As returned by `validate`.
        classifier: The model.
        images: The images to explain, or whose predictions are explained.
        target: As returned by `targets.resolve`.
        against: As returned by `targets.resolve`.
        dataset: As for `cnnexplain.explain`.
        progress: As for `cnnexplain.explain`.
        control: The model with shuffled weights, for an analysis with a map; None for no control.

    Raises:
        UsageError: The numbers of images and targets differ, or there is no such data set.
        ImageError: The data set contains no image.
    """
    explained, predicted = (images, None) if "images" in analysis.inputs else (None, images)
    count = None if explained is None else len(explained)
    resolved = None if target is None else targets.spread(target, count)
    resolved_against = None if against is None else targets.spread_against(against, count or len(resolved or (None,)))
    stream = None
    if "dataset" in analysis.inputs:
        preset = classifier.preprocess.preset
        default = images if preset is None else preset.dataset.default
        searched = default if dataset is None else dataset
        stream = None if searched is None else open_stream(searched, classifier)
    return Request(
        analysis=analysis,
        plugin=plugin,
        options=options,
        classifier=classifier,
        model=describe_model(classifier),
        images=explained,
        predicted=predicted,
        targets=resolved,
        against=resolved_against,
        dataset=stream,
        progress=progress or notebook.progress(analysis.name),
        control=control,
    )


def check_inputs(analysis: Analysis, images: object | None, target: object, against: object, dataset: object) -> None:
    """Checks that an analysis gets the inputs that it needs, and no others; None means that an input is not given.

    Raises:
        UsageError: An input is missing, or not supported by the analysis.
    """
    inputs = analysis.inputs
    if images is None and "images" in inputs:
        raise UsageError(f"The analysis '{analysis.name}' explains images: give at least one.")
    if images is not None and not {"images", "objectives"} & set(inputs):
        raise UsageError(f"The analysis '{analysis.name}' explains the model itself and takes no images.")
    if target is not None and not {"targets", "objectives"} & set(inputs):
        raise UsageError(f"The analysis '{analysis.name}' does not explain an output and takes no target.")
    if against is not None and "objectives" not in inputs:
        raise UsageError(f"The analysis '{analysis.name}' does not compare targets and takes no 'against'.")
    if against is not None and target is None and images is None:
        raise UsageError(f"The analysis '{analysis.name}' needs a target from which {shown(against)} is subtracted.")
    if dataset is not None and "dataset" not in inputs:
        raise UsageError(f"The analysis '{analysis.name}' does not search a data set and takes none.")


def describe_model(classifier: Classifier) -> dict[str, Any]:
    """Identifies a model and the output that is explained, JSON-able."""
    return {
        "name": classifier.name,
        "sha256": classifier.sha256,
        "output": classifier.output,
        "head": classifier.head,
        **({"unit": classifier.unit} if classifier.head == "values" else {}),
        **classifier.inputs.described,
    }
