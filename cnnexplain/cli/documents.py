"""The JSON documents that `run` and `list` print with --json."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cnnexplain import __version__
from cnnexplain.model import model_files

if TYPE_CHECKING:
    from cnnexplain.cli.outcome import Outcome
    from cnnexplain.plugin.analysis import Analysis
    from cnnexplain.plugin.options import Parameter
    from cnnexplain.plugin.registry import Plugin, Registry
    from cnnexplain.results.explained import Explained

IMAGE_KEYS = (
    "inverted",
    "resized",
    "prediction",
    "probability",
    "target",
    "target_probability",
    "objective",
    "value",
    "unit",
    "finding",
)
"""The keys of `image_json.write` that the document contains for an image, in addition to its name."""


def run_document(analysis: Analysis, outcome: Outcome, error: str | None = None) -> dict[str, Any]:
    """The JSON document of one analysis."""
    from cnnexplain.results import image_json

    def image(explained: Explained, finding: str | None, note: str | None, correlation: float | None) -> dict[str, Any]:
        entry = image_json.write(explained, outcome.labels, finding)
        control = None if note is None else {"rank_correlation": correlation, "note": note}
        return {"name": entry["source"], **{name: entry[name] for name in IMAGE_KEYS}, "control": control}

    return {
        "analysis": analysis.name,
        "folder": str(outcome.folder),
        "kept": outcome.kept,
        "images": list(map(image, outcome.first, outcome.findings, outcome.controls, outcome.correlations)),
        "skipped": outcome.skipped.first,
        "pictures": outcome.pictures.first,
        "files": list(map(str, outcome.files)),
        "warnings": list(outcome.warnings),
        "limitations": analysis.limitations,
        "seconds": outcome.seconds,
        "verification": None if outcome.verification is None else outcome.verification.as_json(),
        "error": error,
    }


def list_document(registry: Registry, included: str) -> dict[str, Any]:
    """The JSON document of `list`; `included` is the summary of the included model."""
    analyses = [
        {
            "name": name,
            "summary": analysis.summary,
            "paper": analysis.paper,
            "inputs": analysis.inputs,
            "options": list(map(_option, analysis.options)),
            **_supplier(registry.analyses.suppliers[name]),
        }
        for name, analysis in registry.analyses.items()
    ]
    ours = {"name": model_files.INCLUDED, "summary": included, "distribution": "cnnexplain", "version": __version__}
    offered = [
        {"name": name, "summary": model.summary, **_supplier(registry.models.suppliers[name])}
        for name, model in registry.models.items()
    ]
    metrics = [
        {
            "name": name,
            "summary": metric.summary,
            "paper": metric.paper,
            "scores": dict(metric.scores),
            "protocol": metric.protocol,
            "limitations": metric.limitations,
            "default": metric.default,
            **_supplier(registry.metrics.suppliers[name]),
        }
        for name, metric in registry.metrics.items()
    ]
    problems = list(map(str, registry.problems))
    return {"analyses": analyses, "models": [ours, *offered], "metrics": metrics, "problems": problems}


def _supplier(plugin: Plugin) -> dict[str, Any]:
    return {"distribution": plugin.distribution, "version": plugin.version}


def _option(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "flag": parameter.flag,
        "type": parameter.type.__name__,
        "default": parameter.default,
        "optional": parameter.optional,
        "many": parameter.many,
        "choices": parameter.choices,
        "min": parameter.option.min,
        "max": parameter.option.max,
        "help": parameter.option.help,
    }
