"""Warnings about the input of a request: likely mistakes, and files that could not be used."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cnnexplain.inputs import bit_depth
from cnnexplain.inputs.source import Source
from cnnexplain.model.classifier import Classifier
from cnnexplain.pipeline.request import Request

SHOWN = 20
"""Skipped files that a warning lists by name before it counts the rest."""

PHOTOGRAPHS = 3
"""Photographs given to a digit classifier that a warning lists by name before it counts the rest."""

VALUES = 8
"""Values of a regression model that a warning lists."""


def input_warnings(request: Request, sources: Sequence[Source]) -> Iterator[str]:
    """The warnings for a record, a sentence each.

    Args:
        request: The request.
        sources: The sources of the images of the record.
    """
    classifier = request.classifier
    yield from _photographs(classifier, sources)
    if classifier.doubt is not None:
        yield classifier.doubt
    yield from bit_depth.misread(sources)
    if classifier.unused_json is not None:
        yield (
            f"'{classifier.unused_json}' has none of the keys of a sidecar and was not used. If it contains the names of "
            f"the outputs, use --labels {classifier.unused_json} (labels=)."
        )
    yield from _default_value(request)


def dataset_warnings(request: Request) -> Iterator[str]:
    """The warnings about a data set that was searched; skipped images are listed in each record instead."""
    stream = request.dataset
    if stream is not None and stream is not request.images and stream.skipped:
        names = list(stream.skipped)
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        yield (
            f"{len(names)} of the {len(stream)} files of the data set '{stream.name}' can't be used and were skipped: "
            f"{', '.join(names[:SHOWN])}{more}."
        )


def _photographs(classifier: Classifier, sources: Sequence[Source]) -> Iterator[str]:
    names, preset = [source.name for source in sources if source.photograph], classifier.preprocess.preset
    if not names or preset is None:
        return
    more = len(names) - PHOTOGRAPHS
    looks = f" and {more} more look" if more > 0 else " looks" if len(names) == 1 else " look"
    yield (
        f"{', '.join(names[:PHOTOGRAPHS])}{looks} like a photograph, but '{classifier.name}' classifies single "
        f"{preset.subject}s, so its predictions are meaningless. For photographs: pip install 'cnnexplain[photos]', then "
        "--model efficientnet-lite0."
    )


def _default_value(request: Request) -> Iterator[str]:
    """Which of several values is explained if no target is given."""
    classifier = request.classifier
    explains = {"targets", "objectives"} & set(request.analysis.inputs)
    unnamed = request.images is not None and request.targets is None
    if classifier.head == "values" and classifier.outputs > 1 and unnamed and explains:
        names = ", ".join(classifier.labels[: min(classifier.outputs, VALUES)])
        names += ", …" if classifier.outputs > VALUES else ""
        yield (
            f"The model has {classifier.outputs} outputs ({names}). The first, '{classifier.labels[0]}', is explained; "
            "choose another one with --target (target=)."
        )
