"""The provenance of a result (model, plugin, versions), and the identity of a request for resuming it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import keras

from cnnexplain import __version__
from cnnexplain.inputs.image_stream import Stream
from cnnexplain.pipeline.request import Request


def provenance(request: Request) -> dict[str, Any]:
    """The value of `Record.provenance`, JSON-able; the data set includes the files that were skipped so far."""
    return {**_dataset(request.dataset, skipped=True), **_software(request)}


def identity(request: Request) -> dict[str, Any]:
    """Everything that determines the results of a request, JSON-able."""
    classifier = request.classifier
    images = request.images if request.images is not None else request.predicted
    names = [] if images is None else list(images.names)
    return {
        "analysis": request.analysis.name,
        "options": dict(request.options),
        "target": _common(request.targets),
        "against": _common(request.against),
        # Results of earlier versions don't have this key.
        "control": None if request.control is None else True,
        "images": {"count": len(names), "sha256": _hash(names)},
        "labels": {"count": len(classifier.labels), "sha256": _hash(classifier.labels)},
        "input": asdict(classifier.preprocess),
        "cnnexplain": __version__,
        **_dataset(request.dataset, skipped=False),
        **_software(request),
    }


def _common(values: Sequence[Any] | None) -> Any:
    """A single value if all are the same, otherwise all of them."""
    if not values:
        return None
    return values[0] if all(value == values[0] for value in values) else list(values)


def _dataset(stream: Stream | None, *, skipped: bool) -> dict[str, Any]:
    if stream is None:
        return {}
    description: dict[str, Any] = {"name": stream.name, "images": len(stream)}
    return {"dataset": description | ({"skipped": dict(stream.skipped)} if skipped else {})}


def _software(request: Request) -> dict[str, Any]:
    plugin = request.plugin
    return {
        "model": dict(request.model),
        "plugin": {"name": plugin.name, "distribution": plugin.distribution, "version": plugin.version},
        "keras": {"version": keras.__version__, "backend": keras.backend.backend()},
    }


def _hash(names: Sequence[str]) -> str:
    return hashlib.sha256(json.dumps(names).encode()).hexdigest()
