"""A report: one self-contained HTML page of records of a model.

The names of images, classes and plugins may come from anyone: every template escapes them, and the page's content security
policy allows only our script, and no content from outside the page.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np

from cnnexplain import __version__, draw
from cnnexplain.errors import UsageError
from cnnexplain.model.card import card
from cnnexplain.rendering import templates
from cnnexplain.rendering.drawn import Drawn
from cnnexplain.rendering.image_entries import image_entries, is_of_images
from cnnexplain.rendering.method_entries import method_entries, method_number
from cnnexplain.rendering.python_program import python_program
from cnnexplain.rendering.templates import data_uri

if TYPE_CHECKING:
    from cnnexplain.model.classifier import Classifier
    from cnnexplain.results.record import Record
    from cnnexplain.training.evaluation import Evaluation


def render(
    found: Sequence[Drawn],
    classifier: Classifier,
    *,
    command: str = "",
    failed: Mapping[str, str] | None = None,
    tested: Evaluation | None = None,
    pending: Sequence[str] = (),
    quick: bool = False,
) -> str:
    """Renders the report of records of a model.

    Args:
        found: The records with their pictures; several may be of one analysis.
        classifier: The model of the records.
        command: The command line that creates the report; if empty, the report shows a Python program instead.
        failed: The analyses that failed, each with the reason.
        tested: The model's accuracy on MNIST's test images.
        pending: The remaining analyses.
        quick: Whether the options are those of `Analysis.quick`.

    Returns:
        Self-contained HTML.

    Raises:
        UsageError: A record belongs to another model.
    """
    warned: dict[str, dict[str, None]] = {}
    for each in found:
        _check_model(each.record, classifier)
        for warning in each.record.warnings:
            warned.setdefault(warning, {})[each.record.analysis.name] = None
    records = [each.record for each in found]
    methods = method_entries(records)
    return templates.get("report.html").render(
        title=f"What {classifier.name} sees",
        images=image_entries(found, classifier, methods),
        alone=[_overview(each, methods) for each in found if each.overview],
        methods=methods,
        pending=pending,
        quick=quick,
        failed=failed or {},
        doubtful=[each for method in methods for each in method["verifications"] if not each.passed],
        skipped={name: reason for record in records for name, reason in record.skipped.items()},
        warned=warned,
        model=card(classifier),
        tested=tested,
        provenance=_provenance(records, classifier),
        date=datetime.now(UTC),
        command=command,
        python=python_program(records, classifier),
        palettes={name: {"bar": _colormap(name), "over": _overlay_colormap(name)} for name in ("unsigned", "signed")},
        policy=templates.policy("data:", script="page.js"),
    )


def _check_model(record: Record, classifier: Classifier) -> None:
    same = (
        record.provenance["model"]["sha256"] == classifier.sha256
        and record.preprocess == classifier.preprocess
        and record.labels == classifier.labels
    )
    if not same:
        raise UsageError(
            f"The record of '{record.analysis.name}' is from the model '{record.provenance['model']['name']}', or has other "
            f"input settings or labels than {classifier!r}; all records of a report must be from the same model."
        )


def _overview(each: Drawn, methods: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The results of one analysis that belong to no single image."""
    record = each.record
    return {
        "analysis": record.analysis,
        "method": method_number(methods, record),
        "pictures": {title: data_uri(picture) for title, picture in each.overview.items()},
        "facts": {name: fact for name, fact in record.facts.items() if not is_of_images(record, fact)},
        "verification": record.verification,
        "dataset": record.provenance.get("dataset"),
    }


def _provenance(records: Sequence[Record], classifier: Classifier) -> dict[str, str]:
    import keras

    plugins = {f"{each['distribution']} {each['version']}": None for each in (r.provenance["plugin"] for r in records)}
    return {
        "Created by": f"cnnexplain {__version__}",
        "Analyses from": ", ".join(plugins),
        "Keras": f"{keras.__version__} on {keras.backend.backend()}",
        "Python": f"{platform.python_version()}, NumPy {np.__version__}, {platform.system()} {platform.machine()}",
        "SHA-256 of the model": classifier.sha256,
    }


def _colormap(kind: str) -> str:
    """256 colors of unsigned or signed maps, with one byte each for red, green and blue."""
    colors = mpl.colormaps[getattr(draw.current_palette(), kind)](np.linspace(0, 1, 256))[:, :3]
    return templates.encoded(np.round(255 * colors).astype(np.uint8).tobytes())


def _overlay_colormap(kind: str) -> str:
    """256 colors of maps over an image, with one byte each for red, green, blue and opacity."""
    return templates.encoded(np.round(255 * draw.overlay_colormap(signed=kind == "signed")).astype(np.uint8).tobytes())
